"A card over governed data, for the tests of access requests."


def governed_card(name, purpose, location, target, exclude):
    "The card's text."
    return f"""
name: {name}
purpose: {purpose}
sources: [{{name: main, location: {location}}}]
target: {target}
task: {{kind: classification, positive: 1}}
exclude: [{exclude}]
split: {{kind: random}}
access: governed
"""
