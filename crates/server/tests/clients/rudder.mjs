// What an application with RudderStack's library for Node sends; the environment says where to and under which name.
import Analytics from '@rudderstack/rudder-sdk-node'

const { HOST: dataPlaneUrl, KEY: writeKey, NAME: name } = process.env
// Without a handler a body that is not sent after all ends the process.
const analytics = new Analytics(writeKey, { dataPlaneUrl, flushAt: 3, retryCount: 5, errorHandler: () => {} })
const sent = (kind, message) => new Promise((resolve, reject) => analytics[kind](message, (error) => (error ? reject(error) : resolve())))

const all = Promise.all([
  sent('track', { anonymousId: `${name}-anon`, event: 'Signed Up', properties: { via: 'node' } }),
  sent('identify', { userId: `${name}-user`, anonymousId: `${name}-anon`, traits: { plan: 'pro' } }),
  sent('track', { userId: `${name}-user`, event: 'Paid', properties: { total: 5 } }),
  sent('alias', { previousId: `${name}-old`, userId: `${name}-user` }),
  sent('group', { userId: `${name}-user`, groupId: `${name}-co`, traits: { seats: 7 } }),
])
await analytics.flush()
// In 3.0.13 that ends before others are done that have begun by themselves, as here at the fourth message.
await all
