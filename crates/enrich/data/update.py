#!/usr/bin/env python3
"""Makes user_agents.json of the rules of uap-core, as the package ua-parser-builtins has them.

Usage: pip download ua-parser-builtins --no-deps && python3 update.py ua_parser_builtins-*.whl

A rule is a list: the pattern, and what stands in the place of its groups, null where the group itself does. The device rules have a flag after the
pattern: true where upper and lower case are one.
"""
import json
import sys
import types
import zipfile


def recorder(rules):
    def record(*values):
        rules.append(list(values))
        return rules[-1]

    return record


def main(path):
    with zipfile.ZipFile(path) as wheel:
        source = wheel.read("ua_parser_builtins/regexes.py").decode()
        revision = wheel.read("REVISION").decode().strip()
    kinds = {name: [] for name in ("UserAgentParser", "OSParser", "DeviceParser")}
    module = types.ModuleType("ua_parser.user_agent_parser")
    for name, rules in kinds.items():
        setattr(module, name, recorder(rules))
    sys.modules["ua_parser"] = types.ModuleType("ua_parser")
    sys.modules["ua_parser.user_agent_parser"] = module
    exec(compile(source, "regexes.py", "exec"), {})
    devices = [[rule[0], len(rule) > 1 and rule[1] == "i", *rule[2:]] for rule in kinds["DeviceParser"]]
    trim = lambda rules: [rule[: max(i for i, value in enumerate(rule) if value is not None) + 1] for rule in rules]
    sections = {"browsers": trim(kinds["UserAgentParser"]), "systems": trim(kinds["OSParser"]), "devices": devices}
    with open("user_agents.json", "w", encoding="utf-8") as out:
        out.write('{"revision": %s' % json.dumps(revision))
        for name, rules in sections.items():
            lines = ",\n".join(json.dumps(rule, ensure_ascii=False, separators=(",", ":")) for rule in rules)
            out.write(',\n"%s": [\n%s]' % (name, lines))
        out.write("}\n")
    print(revision, {name: len(rules) for name, rules in sections.items()})


main(sys.argv[1])
