"""The random texts of the tokenizer goldens. tests/text/tokenizer_texts.h makes the same ones: change both or neither."""

MASK = (1 << 64) - 1

FRAGMENTS = [
    "'s", "'T", "'re", "'VE", "'m", "'ll", "'D", "\u2019re", "don't", "I'M", "\u017fs'\u017f", "def f(x):\n    return x",
    "for(int i=0;i<n;++i){", "//",
    "</s>", "<s>", "<0x0A>", "<|im_start|>", "<|im_end|>", "<think>", "\u2581", "\u2581\u2581", "\U0001F600",
    "\U0001F468\u200d\U0001F469\u200d\U0001F467",
    "\U0001F1E9\U0001F1EA", "\u2764\ufe0f", "\u4f60\u597d", "\u5b54\u5b50\u66f0\uff1a", "\u3053\u3093\u306b\u3061\u306f",
    "\uc548\ub155\ud558\uc138\uc694",
    "e\u0301", "\u00e9", "A\u030a\u0323", "\u1e69", "\u00a0", "\u200b", "\u3000", "\u2028", "\u0085", "\u00bd", "\u00b2", "\u2167",
    "\u0967\u0968",
    "\ufeff", "\ufffd", "http://a.b/c?d=e&f", "1,234.56", "3.14e-10", "100%", "$5", "#include <x>", "\\n", "\"quoted\"", "...", "\u2026",
    "\u2014",
]
SPACES = ["\n", "\r\n", "\t", "\n\n", "  \n", "\n \n", "\r", " \t ", "\n\n\n\n", "\f", "\v"]
RANGES = [  # letters of many scripts, marks, symbols; code points in them that Unicode has not assigned are so in every version
    (0x21, 0x7E), (0xA1, 0x17F), (0x300, 0x36F), (0x386, 0x3FF), (0x400, 0x52F), (0x621, 0x64A), (0x904, 0x939), (0xE01, 0xE3A),
    (0x2010, 0x2027), (0x2190, 0x21FF), (0x3041, 0x3096), (0x30A1, 0x30FA), (0x4E00, 0x9FA5), (0xAC00, 0xD7A3), (0xFF01, 0xFF5E),
    (0x1F300, 0x1F5FF),
]


class Random:
    """SplitMix64."""

    def __init__(self, seed):
        self.state = seed & MASK

    def below(self, n):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return (z ^ (z >> 31)) % n


def text(random):
    out = []
    for _ in range(1 + random.below(12)):
        kind = random.below(8)
        if kind == 0:
            for _ in range(1 + random.below(8)):
                out.append(chr(0x20 + random.below(0x5F)))
        elif kind == 1:
            if random.below(2):
                out.append(" ")
            for _ in range(1 + random.below(12)):
                out.append(chr(0x61 + random.below(26)))
        elif kind == 2:
            out.append(" " * (1 + random.below(6)))
        elif kind == 3:
            out.append(SPACES[random.below(len(SPACES))])
        elif kind == 4:
            for _ in range(1 + random.below(7)):
                out.append(chr(0x30 + random.below(10)))
        elif kind == 5:
            low, high = RANGES[random.below(len(RANGES))]
            for _ in range(1 + random.below(4)):
                out.append(chr(low + random.below(high - low + 1)))
        else:
            out.append(FRAGMENTS[random.below(len(FRAGMENTS))])
    return "".join(out)


def texts(block, count=1000):
    random = Random(block)
    return [text(random) for _ in range(count)]


def hash_ids(lists):
    """FNV-1a, 64 bits, over 32-bit words: the ids, and 0xffffffff after each list."""
    h = 0xCBF29CE484222325
    for ids in lists:
        for i in ids:
            h = ((h ^ i) * 0x100000001B3) & MASK
        h = ((h ^ 0xFFFFFFFF) * 0x100000001B3) & MASK
    return h
