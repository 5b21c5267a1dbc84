// What an application with Segment's library for Node sends; the environment says where to and under which name.
import { Analytics } from '@segment/analytics-node'

const { HOST: host, KEY: writeKey, NAME: name } = process.env
const analytics = new Analytics({ writeKey, host, flushAt: 3, maxRetries: 5 })
const failed = []
analytics.on('error', (error) => failed.push(String(error.reason ?? error.code)))

analytics.track({ anonymousId: `${name}-anon`, event: 'Signed Up', properties: { via: 'node' } })
analytics.identify({ userId: `${name}-user`, anonymousId: `${name}-anon`, traits: { plan: 'pro' } })
analytics.track({ userId: `${name}-user`, event: 'Paid', properties: { total: 5 } })
analytics.alias({ previousId: `${name}-old`, userId: `${name}-user` })
analytics.group({ userId: `${name}-user`, groupId: `${name}-co`, traits: { seats: 7 } })
await analytics.closeAndFlush({ timeout: 20000 })
if (failed.length > 0) {
  console.error(failed)
  process.exit(1)
}
