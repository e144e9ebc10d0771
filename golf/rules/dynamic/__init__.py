"""Executable checks: properties that every legal evaluator has, tested on a toy model with nothing but its scores.

    check  property                                                                               rules
    D1     causality: other tokens from a place on move no score of a target before it            R30 R32 R33 R36 R37 R38 R39 R41 R44
    D1b    common order: no two documents influence each other in both directions                 R47
    D2     valid code lengths: the probabilities of all tokens at a place sum to one              R31 R40 R33 R36 R37 R38 R39 R41 R44
    D3     scored before learned: what changes inside a chunk moves no earlier score of it        R32
    D4     document boundary: the last token of a document moves no score inside the next         R42
    D5     coverage: every target is scored exactly once                                          R25 R33 R46
    D6     byte count: the script's bytes of the validation shards are those of the decoded text  R20
    D7     timer: every read of validation tokens lies inside the seconds that are reported       R07
    D8     isolation: no socket, no process, no training shard                                    R03 R04 R34
    D9     noise: the same stream twice; its difference is the tolerance of the others
    D10    round trip: script and artifact alone, in an empty folder, score what the log says     R03 R48

D1 to D5 and D9 are functions of `properties`, D6 is in `composed`, D7 in `timer`, D8 in `fence`, D10 in `golf.rules.checks.roundtrip`.
`golf.rules.checks.executed` turns their outcomes into findings on rules.
"""
