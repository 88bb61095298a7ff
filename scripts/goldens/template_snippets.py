"""Small templates for language-level equality with Jinja2 (see chat_templates.py): one expression, statement or error each."""

snippet_context = {
    "s": "Hello, World",
    "u": "Grüße, 世界 🙂!",
    "w": "  padded\t\n",
    "e": "",
    "q": "it's \"q\"\\",
    "i": 42,
    "n": -7,
    "z": 0,
    "f": 2.5,
    "t": True,
    "no": None,
    "l": [3, 1, 2],
    "names": ["bob", "Alice", "carol", "alice"],
    "mixed": [1, "a", None, True, 2.5, [1, 2], {"k": "v"}],
    "d": {"b": 1, "a": 2, "C": 3},
    "nested": {"x": {"y": [10, {"z": "deep"}]}, "items": "shadow", "0": "zero"},
    "users": [
        {"name": "Ann", "age": 30, "tags": ["x"], "ok": True},
        {"name": "bob", "age": 25, "tags": [], "ok": False},
        {"name": "Cid", "age": 30, "tags": ["x", "y"], "ok": True},
    ],
    "html": "<a href=\"x\">&'</a>",
    "multi": "one\ntwo\n\nthree\n",
    "big": 9007199254740993,
}

_expressions = """
1 + 2 * 3
(1 + 2) * 3
7 / 2
7 // 2
-7 // 2
7 // -2
-7 % 3
7 % -3
7.5 // 2
-7.5 // 2
-7.5 % 2
7.5 % -2
0.0 % 3
2 ** 10
2 ** -1
2 ** 0.5
-2 ** 2
2 ** 3 ** 2
10 ** 15
1 / 3
1e16
1e15
123456789012345680.0
1e-4
1e-5
0.1 + 0.2
100.0
1.5e300 * 1e10
3.0
-0.0
1_000
0x1F
0b101
0o17
1.0e2
true
false
none
True and None
0 or "x"
"" or [] or {} or "last"
1 and 2
not 1
not not ""
not s
1 < 2 < 3
1 < 3 < 2
3 > 2 >= 2
1 == 1.0
1 == true
"1" == 1
[1,2] == [1,2]
(1,2) == [1,2]
{"a": 1} == {"a": 1.0}
[1,2] < [1,3]
"a" < "b"
"a" < 1
none < 1
none == none
undefined_thing == other_thing
1 in l
9 in l
"ell" in s
"x" not in s
"" in s
"a" in d
"zz" in d
1 in s
1 in i
none in mixed
[1, 2] in mixed
"a" ~ 1 ~ none ~ true ~ 2.5
"a" "b" 'c'
s + "!"
s + 1
1 + s
s * 2
2 * "ab"
"ab" * -1
[1] + [2]
[1] * 3
(1,) + (2,)
[1] + (2,)
l + "x"
s - 1
d + d
none + 1
missing + 1
-s
-true
+t
true + true
i / z
i // z
i % z
2.5 / 0
0 ** -1
l[0]
l[-1]
l[5]
l[-5]
l["x"]
s[0]
s[-1]
s[50]
u[3]
u[-2]
u[7]
d["a"]
d.a
d.zz
d["zz"]
nested["items"]
nested.x.y[1].z
nested.x.y.1.z
nested.x.y.0
nested["0"]
nested.x.nope.more
missing
missing.x
missing["x"]
missing()
none.x
none["x"]
i.x
s.nope
s[1:3]
s[:5]
s[7:]
s[-5:]
s[:-1]
s[::2]
s[::-1]
s[5:2]
s[10:2:-3]
s[100:]
u[2:6]
u[::-1]
u[6:8]
l[1:]
l[::-1]
l[:2]
l[-2:]
l[::0]
l["a":]
(1,2,3)[1:]
range(10)[2:5]
range(10)[::-2]
d[1:]
no[1:]
missing[1:]
[]
()
(1,)
1, 2
(1, 2)
{}
{"a": 1, "b": [1, "x"]}
{1: 2, none: 3, true: 4, 1.5: 5}
{"a": 1, "a": 2}
{[1]: 2}
[1, "two", 3.0, none, true, missing]
["it's", 'say "hi"', "both ' and \\"", "tab\\t", "nl\\n", "\\u00e9\\u200b\\x07", "\\\\"]
q
[q]
[u]
[w]
[e]
mixed
d
users
nested
no
t
f
i
big
big + 1
range(5)
range(1, 10, 2)
range(0)
range(5, 0, -1)|list
range(100000)|length
range(100001)
range("a")
range(1, 2, 0)
range(3)|list
s if t else e
s if no else e
s if no
(s if no) is defined
"a" if 0 else "b" if 0 else "c"
[x for x in l]
lambda: 1
s.upper()
u.upper()
u.lower()
"ǆ ß ﬁ".upper()
"ß".capitalize()
"ΑΣ ΣΑΣ".lower()
s.lower()
s.title()
"they're bill's".title()
"hello-world (foo) [bar]<x"|title
"hELLO wORLD"|capitalize
s.swapcase()
w.strip()
w.lstrip()
w.rstrip()
"xxaxx".strip("x")
"xyaxy".strip("yx")
"xxaxx".lstrip("x")
"xxaxx".rstrip("x")
"\\u3000a\\u00a0".strip()
s.replace("l", "L")
s.replace("l", "L", 1)
s.replace("", "-")
s.replace("", "-", 2)
"aaa".replace("aa", "b")
s.replace("zz", "b")
s.replace(1, 2)
s.split()
s.split(",")
s.split(", ", 1)
"a b  c".split()
"a b  c".split(" ")
" a  b ".split(none, 1)
"a,b,c".rsplit(",", 1)
" a b c ".rsplit(none, 1)
"aaaa".split("aa")
"aaaaa".rsplit("aa", 1)
"".split()
"".split(",")
s.split("")
"a,b".split(sep=",")
multi.splitlines()
multi.splitlines(true)
"a\\r\\nb\\rc\\u2028d".splitlines()
s.partition(",")
s.partition("zz")
s.rpartition("o")
s.rpartition("zz")
s.startswith("Hell")
s.startswith(("x", "H"))
s.startswith("ello", 1)
s.endswith("ld")
s.endswith(("x", "d"))
s.endswith("Hello", 0, 5)
s.startswith(1)
s.find("o")
s.find("o", 5)
s.rfind("o")
s.find("zz")
u.find("世")
s.index("W")
s.index("zz")
s.rindex("o")
s.count("l")
s.count("")
"aaaa".count("aa")
", ".join(names)
", ".join(l)
"-".join("abc")
"-".join(d)
s.center(20)
s.center(21, "*")
"ab".center(5)
"abc".center(6)
s.ljust(15, ".")
s.rjust(15, ".")
s.ljust(3)
"42".zfill(5)
"-42".zfill(5)
"a\\tb".expandtabs()
"a\\tb".expandtabs(4)
"abc".isalpha()
"ab1".isalnum()
"12".isdigit()
"²".isdigit()
"½".isnumeric()
"१२".isdecimal()
"abc".islower()
"ABC".isupper()
"Abc Def".istitle()
" \\n".isspace()
"".isspace()
"a b".isidentifier()
"a_b".isidentifier()
"a\\n".isprintable()
"é".isascii()
"prefix-x".removeprefix("prefix-")
"x.py".removesuffix(".py")
"{} and {}".format(1, "b")
"{1} {0}".format(1, 2)
"{a} {b}".format(a=1, b=l)
"{:>8}|{:<8}|{:^8}".format("a", "b", "c")
"{:05d} {:+d} {:x} {:X} {:#x} {:b} {:o}".format(42, 42, 255, 255, 255, 5, 8)
"{:.2f} {:8.3f} {:e} {:g} {:%}".format(3.14159, 2.5, 12345.678, 0.0001, 0.25)
"{:,} {:_} {:,.2f}".format(1234567, 1234567, 1234567.891)
"{:*^10}".format("x")
"{0[a]} {0[b]}".format(d)
"{0.a}".format(d)
"{!r} {!s}".format("x", "x")
"{{}} {}".format(1)
"{".format(1)
"}".format(1)
"{}".format()
"{x}".format(1)
"{:d}".format("x")
"{:>{w}}".format("a", w=4)
"{:.3}".format("abcdef")
"{0}{}".format(1, 2)
"{}".format(none)
"{}".format(2.0)
"{:.1f}".format(0.25)
"{:.0f}".format(2.5)
"{a}".format_map(d)
"%s is %d" % ("a", 3)
"%s" % s
"%s" % l
"%5s|%-5s|%05d" % ("a", "b", 42)
"%.2f %e %g %x %o %X %c %r %%" % (3.14159, 1234.5, 0.00001, 255, 8, 255, "z", "q")
"%(a)s %(b)05.1f" % d
"%d" % 3.9
"%d" % "3"
"%s %s" % "x"
"%s" % ("a", "b")
"%+d % d" % (5, 5)
"%s" % missing
"%d" % missing
"abc" % missing
"%(a)s" % missing
"𝟗𝟘१"|int
"٣.٥"|float
"%s" % (missing,)
"%z" % 1
"abc" % 1
"abc" % l
"%s and %s"|format("x", 2)
"%(x)s"|format(x=5)
"%s %s"|format(1)
d.items()
d.keys()
d.values()
d.items()|list
d.keys()|list
d.get("a")
d.get("zz")
d.get("zz", "fallback")
d.get([1])
d.copy()
d.pop("a")
d.update({"x": 1})
d.setdefault("x", 1)
l.append(4)
l.pop()
l.sort()
l.copy()
l.index(1)
l.index(99)
l.count(3)
(1,2,1).count(1)
d.__class__
s.__class__.__mro__
"".__class__
d._private
l.__len__()
d.update is defined
d.get is callable
s|upper
i|upper
s|lower
none|lower
missing|upper
s|length
l|length
d|length
u|length
u|count
i|length
missing|length
none|length
l|first
l|last
[]|first
[]|last
s|first
u|last
d|first
missing|first
missing|last
i|first
l|sort
l|sort(reverse=true)
names|sort
names|sort(case_sensitive=true)
users|sort(attribute="age")|map(attribute="name")|list
users|sort(attribute="age,name", reverse=true)|map(attribute="name")|join
mixed|sort
[none, none]|sort
["b", 1]|sort
[2.5, 1, true]|sort
l|reverse|list
s|reverse
u|reverse
d|reverse|list
l|join
l|join("-")
l|join(1)
users|join(", ", attribute="name")
"abc"|join("-")
missing|join(",")
none|join(",")
mixed|join("|")
l|sum
[]|sum
[1.5, 2]|sum
users|sum("age")
users|sum(attribute="age", start=10)
["a"]|sum
[[1],[2]]|sum(start=[])
l|min
l|max
names|min
names|max
names|max(case_sensitive=true)
users|max(attribute="age")
[]|min
[]|max is defined
l|unique|list
names|unique|list
names|unique(case_sensitive=true)|list
users|unique(attribute="age")|map(attribute="name")|list
[[1],[1]]|unique|list
l|map("string")|list
names|map("upper")|join(" ")
users|map(attribute="name")|list
users|map(attribute="nope")|list
users|map(attribute="nope", default="-")|list
users|map(attribute="tags.0")|list
users|map("attr", "name")|list
l|map("nofilter")|list
none|map("upper")|list
l|select|list
[0, 1, "", "a", none]|select|list
l|select("odd")|list
l|select("greaterthan", 1)|list
l|reject("odd")|list
l|select("divisibleby", 3)|list
names|select("equalto", "bob")|list
names|select("in", ["bob", "carol"])|list
l|select("notest")|list
users|selectattr("ok")|map(attribute="name")|list
users|rejectattr("ok")|map(attribute="name")|list
users|selectattr("age", "equalto", 30)|list|length
users|selectattr("age", "gt", 26)|map(attribute="name")|join(",")
users|selectattr("name", "defined")|list|length
users|groupby("age")
users|groupby("age")|map(attribute="grouper")|list
users|groupby("nope", default="?")|list|length
names|groupby(0)|map("first")|list
users|map(attribute="name")|groupby(0)|list
l|batch(2)|list
l|batch(2, "-")|list
range(7)|slice(3)|list
range(7)|slice(3, "x")|list
range(2)|slice(4)|list
d|dictsort
d|dictsort(true)
d|dictsort(false, "value")
d|dictsort(reverse=true)
d|dictsort(by="nope")
d|items|list
missing|items|list
l|items|list
d|list
s|list
missing|list
i|list
i|string
l|string
none|string
missing|string
s|string
f|int
"42"|int
" 42 "|int
"42.9"|int
"x"|int
"x"|int(7)
"0x1f"|int(0, 16)
"1f"|int(base=16)
"0b11"|int(0, 2)
"1_000"|int
"_1"|int
none|int
l|int(5)
true|int
missing|int
"3.5"|float
"x"|float
"x"|float(1.5)
"1e3"|float
"inf"|float
"-inf"|float
"nan"|float
" 7 "|float
none|float
missing|float
n|abs
-2.5|abs
(-2.5)|abs
"x"|abs
2.5|round
3.5|round
2.675|round(2)
1234.5678|round(2)
1234.5678|round(-2)
i|round
i|round(2)
42|round(-1)
45|round(-1)
2.1|round(0, "ceil")
2.9|round(0, "floor")
2.123|round(2, "ceil")
2.5|round(0, "nope")
"x"|round
missing|default("d")
none|default("d")
none|default("d", true)
e|default("d", true)
e|d("x", boolean=true)
missing|d
missing.x|default("d")
s|default("d")
s|replace("o", "0")
s|replace("o", "0", 1)
i|replace(4, 5)
s|trim
w|trim
"xxaxx"|trim("x")
i|trim
s|title
s|capitalize
"ab"|center(6)
s|truncate(5)
s|truncate(9, true)
"foo bar baz qux"|truncate(9)
"foo bar baz qux"|truncate(9, true)
"foo bar baz qux"|truncate(11)
"foo bar baz qux"|truncate(11, false, "...", 0)
"foo bar baz qux"|truncate(2)
s|wordcount
u|wordcount
multi|indent
multi|indent(2, true)
multi|indent(2, first=true, blank=true)
multi|indent("> ")
""|indent
"a\\n\\nb\\n"|indent(1, blank=true)
html|escape
html|e
html|e|e
html|forceescape
html|safe
html|safe|e
(html|safe) + "<"
"<" + (html|safe)
(html|safe) ~ "<"
(html|safe)|upper
(html|safe)|replace("<", ">")
(html|safe).replace("a", "<")
("<b>%s</b>"|safe) % "<"
("<b>{}</b>"|safe).format("<")
["<"]|join("<"|safe)
("<"|safe).join(["<", ">"])
[html|safe]
1000|filesizeformat
1|filesizeformat
999|filesizeformat
1000000|filesizeformat
1024|filesizeformat(true)
123456789|filesizeformat
0|filesizeformat
s|urlencode
u|urlencode
"a/b c"|urlencode
d|urlencode
[["a b", "c/d"]]|urlencode
{"class": "x", "id": none, "t": "<"}|xmlattr
{"a b": 1}|xmlattr
d|attr("a")
d|attr("items") is callable
s|attr("nope") is defined
d|tojson
mixed|tojson
u|tojson
html|tojson
q|tojson
"\\x00\\x1f\\x7f\\u2028"|tojson
u|tojson(ensure_ascii=true)
u|tojson(true)
"🙂"|tojson(ensure_ascii=true)
nested|tojson(indent=2)
mixed|tojson(indent=4)
[]|tojson(indent=2)
{}|tojson(indent=2)
[[], {}, [[]]]|tojson(indent=1)
l|tojson(indent=0)
l|tojson(indent="\\t")
d|tojson(separators=(",", ":"))
d|tojson(separators=[" , ", " : "], indent=2)
d|tojson(sort_keys=true)
{"b": {"d": 1, "c": 2}, "a": 0}|tojson(sort_keys=true, indent=2)
{1: "a", none: "b", true: "c", 2.5: "d"}|tojson
{(1, 2): 3}|tojson
(1, 2)|tojson
2.0|tojson
1e100|tojson
"nan"|float|tojson
"inf"|float|tojson
missing|tojson
d.items()|tojson
range(3)|tojson
none|tojson
true|tojson
i is odd
i is even
i is divisibleby 7
i is divisibleby(5)
s is odd
s is string
i is string
i is number
t is number
f is float
i is integer
t is integer
t is boolean
i is boolean
t is true
t is false
no is none
no is not none
missing is defined
missing is undefined
missing is not defined
missing is none
missing is iterable
missing is sequence
missing is mapping
missing is string
missing is callable
s is iterable
s is sequence
l is sequence
d is sequence
d is mapping
l is mapping
i is iterable
d.items() is iterable
d.items() is sequence
l|map("string") is iterable
range(3) is sequence
range is callable
s is callable
s is lower
"abc" is lower
"ABC" is upper
i is upper
1 is sameas 1
none is sameas none
l is sameas l
[] is sameas []
1 is in [1, 2]
3 is not in [1, 2]
i is eq 42
i is == 42
i is ne(42)
i is gt 41
i is ge 42
i is lt 42
i is le 42
i is equalto 42
i is lessthan 43
"upper" is filter
"nope" is filter
"odd" is test
html|safe is escaped
html is escaped
i is nope
i is odd is even
not i is odd
i is not odd and t
dict(a=1, b=2)
dict(d, z=1)
dict([["a", 1], ["b", 2]])
dict(5)
namespace(a=1)
namespace(a=1).a
namespace({"x": 2}).x
namespace(_a=1)
strftime_now("%Y-%m-%d")
strftime_now("%d %b %Y, %H:%M:%S %p %A %a %B %j %y %I")
strftime_now("%-d %e %%")
raise_exception("boom")
joiner(",")()
cycler()
nofunction(1)
s()
"a" in missing
missing in l
s|nofilter
s|nofilter if false else "x"
(l|list)[0]
l | map('string') | join(', ') ~ "!"
"%.3f"|format(2)
-1|abs
-i|string
not none is none
1 if 2 if 0 else 3 else 4
{"a": {"b": 1}}.a.b
[1,2,3][1]
"abc"[1]
"abc".upper()[0]
("a", "b")|join("-")
1 ~ 2
"a" ~ ("b" if t)
s.replace("H", "J").lower()|length
d.a + d["b"] * d.C
[*l]
dict(**d)
"{}-{}".format(*[1, 2])
"{a}{b}".format(**d)
range(*[1, 4])|list
s|replace(old="l", new="_")
s.split(maxsplit=1)
9223372036854775807
-9223372036854775807 - 1
"١"|int
i == 42 and f == 2.5 or no
(i, f) == (42, 2.5)
1 == 1 == 1
"b" > "a" > "A"
t == 1
[true] == [1]
{"x": none}.x is none
l is defined and l
"\\u4e16\\x41\\101\\q\\n"
'\\'' ~ "\\""
"a\\
b"
"""

_statements = r"""
{% set x = 1 %}{{ x }}
{% set a, b = 1, 2 %}{{ a }}{{ b }}
{% set a, b = l %}{{ a }}
{% set (a, b) = (1, 2) %}{{ a }}{{ b }}
{% set ns = namespace(x=1) %}{% for k in l %}{% set ns.x = ns.x + k %}{% endfor %}{{ ns.x }}
{% set ns = namespace() %}{{ ns.x is defined }}{% set ns.x = 1 %}{{ ns.x }}{{ ns["x"] }}{{ ns.y }}
{% set ns = namespace() %}{% set ns._x = 1 %}
{% set ns = {} %}{% set ns.x = 1 %}
{% set x %}block {{ s }}{% endset %}[{{ x }}]
{% set x | upper | replace("B", "_") %}block{% endset %}[{{ x }}]
{% set x = 1 %}{% for k in l %}{% set x = k %}{% endfor %}{{ x }}
{% set x = 1 %}{% if t %}{% set x = 2 %}{% endif %}{{ x }}
{% for k in l %}{{ y is defined }}{% set y = k %}{% endfor %}{{ y is defined }}
{% for k in l %}{{ k }}{% if not loop.last %}, {% endif %}{% endfor %}
{% for k in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}|{% endfor %}
{% for k in l %}{{ loop.previtem }}<{{ k }}>{{ loop.nextitem }} {% endfor %}
{% for k in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }} {% endfor %}
{% for k in l %}{{ loop.cycle("a", "b") }}{% endfor %}
{% for k in [1, 1, 2, 2, 1] %}{{ loop.changed(k) }} {% endfor %}
{% for k in l %}{{ loop.depth }}{{ loop.depth0 }}{% endfor %}
{% for k in l %}{{ loop }}{% endfor %}
{% for k in [] %}x{% else %}empty{% endfor %}
{% for k in missing %}x{% else %}empty{% endfor %}
{% for k in none %}x{% endfor %}
{% for k in 5 %}x{% endfor %}
{% for k in l if k > 1 %}{{ k }}{{ loop.index }}/{{ loop.length }} {% endfor %}
{% for k in l if k > 9 %}{{ k }}{% else %}none{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}
{% for k, v in d|dictsort %}{{ k }}={{ v }};{% endfor %}
{% for k in d %}{{ k }}{% endfor %}
{% for c in "héy" %}[{{ c }}]{% endfor %}
{% for a, b in [[1, 2], [3, 4]] %}{{ a }}-{{ b }} {% endfor %}
{% for a, (b, c) in [[1, [2, 3]]] %}{{ a }}{{ b }}{{ c }}{% endfor %}
{% for (a, b) in [[1, 2]] %}{{ a }}{{ b }}{% endfor %}
{% for a, b in [[1, 2, 3]] %}{{ a }}{% endfor %}
{% for a, b in [1] %}{{ a }}{% endfor %}
{% for k in l %}{% for m in l %}{{ loop.index }}{% endfor %}{{ loop.index }} {% endfor %}
{% for k in l %}{% set outer = loop %}{% for m in l %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}
{% for k in range(10) %}{% if k == 3 %}{% break %}{% endif %}{{ k }}{% endfor %}
{% for k in range(6) %}{% if k is odd %}{% continue %}{% endif %}{{ k }}{% endfor %}
{% for k in l %}{% break %}{% else %}else{% endfor %}
{% for k in l %}{% continue %}{% else %}else{% endfor %}
{% break %}
{% for k in l %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}
{% for k in l %}{% set x %}{% break %}{% endset %}{% endfor %}ok
{% for k in l %}{{ k }}{% if k == 3 %}{% set x %}a{% continue %}{% endset %}{% endif %}!{% endfor %}
{% for k in l recursive %}{{ k }}{% endfor %}
{% for k in [1, [2, [3, 4]], 5] recursive %}{% if k is iterable %}({{ loop(k) }}){% else %}{{ k }}:{{ loop.depth }}{{ loop.depth0 }}{{ loop.index }} {% endif %}{% endfor %}
{% for k in [[1], []] recursive %}{% if k is iterable %}<{{ loop(k) }}>{% else %}{{ k }}{% endif %}{% else %}none{% endfor %}
{% for k in [3, [1, 4]] if k != 1 recursive %}{% if k is iterable %}[{{ loop(k) }}]{% else %}{{ k }}{% endif %}{% endfor %}
{% for k in l %}{{ loop(l) }}{% endfor %}
{% set x = 1 %}{% for k in [[0]] recursive %}{% set x = 2 %}{{ x }}{% if k is iterable %}{{ loop(k) }}{% endif %}{% endfor %}{{ x }}
{% for loop in l %}{% endfor %}
{% for k in l %}{% set loop = 1 %}{% endfor %}
{% for k in l %}{{ k }}{% endfor %}{{ k is defined }}
{% for k in l %}{% endfor %}{{ loop is defined }}
{% for x in users %}{{ x.name }}:{{ x["age"] }}{% if x.tags %}({{ x.tags|join(",") }}){% endif %} {% endfor %}
{% if 1 %}a{% elif 2 %}b{% else %}c{% endif %}
{% if 0 %}a{% elif 2 %}b{% else %}c{% endif %}
{% if 0 %}a{% elif 0 %}b{% else %}c{% endif %}
{% if missing %}a{% else %}c{% endif %}
{% if 0 %}{{ s|nofilter }}{% endif %}ok
{% for k in [] %}{{ s|nofilter }}{% endfor %}ok
{% if 0 %}{% for k in [] %}{{ s|nofilter }}{% endfor %}{% endif %}ok
{% if s is nope %}{% endif %}
{% macro m(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }}|{{ m(1, 3) }}|{{ m(1, c=9) }}|{{ m(b=5, a=6) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m() }}|{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(z=1) }}
{% macro m(a) %}{{ a is defined }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m() }}|{{ m(1, 2, 3, x=4) }}
{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}body{% endcall %}
{% macro m() %}{{ caller(1, 2) }}{% endmacro %}{% call(x, y) m() %}{{ x }}+{{ y }}{% endcall %}
{% macro m() %}no caller{% endmacro %}{% call m() %}body{% endcall %}
{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}
{% macro m(caller=none) %}{{ caller is none }}{% endmacro %}{{ m() }}
{% macro m(caller) %}{{ caller() }}{% endmacro %}{{ m() }}
{% macro f(k) %}{{ k }}{% if k > 0 %}{{ f(k - 1) }}{% endif %}{% endmacro %}{{ f(3) }}
{% macro m() %}{{ later }}{% endmacro %}{% set later = 5 %}{{ m() }}
{% macro m() %}{% set inner = 5 %}{{ inner }}{% endmacro %}{{ m() }}{{ inner is defined }}
{% set x = 1 %}{% macro m() %}{{ x }}{% endmacro %}{% for k in l %}{% set x = k %}{{ m() }}{% endfor %}
{% for k in l %}{% macro m() %}<{{ k }}>{% endmacro %}{{ m() }}{% endfor %}
{% macro m() %}x{% endmacro %}{{ m }}{{ m.name }}
{% macro m() %} x {% endmacro %}[{{ m()|trim }}]{{ m() is string }}{{ m()|length }}
{% macro a() %}{% call b() %}inner{% endcall %}{% endmacro %}{% macro b() %}({{ caller() }}){% endmacro %}{{ a() }}
{% macro m(a=1, b) %}{% endmacro %}
{% macro m(x) -%}   {{ x }}   {%- endmacro %}[{{ m(1) }}]
{% call s.upper() %}x{% endcall %}
{% call 5 %}x{% endcall %}
{% filter upper %}abc {{ s }}{% endfilter %}
{% filter trim|replace("a", "b") %}  aaa  {% endfilter %}
{% filter nofilter %}x{% endfilter %}
{% with a=1, b=2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}
{% set a = 5 %}{% with a=1, b=a %}{{ a }}{{ b }}{% endwith %}{{ a }}
{% with %}{% set q2 = 1 %}{{ q2 }}{% endwith %}{{ q2 is defined }}
{% generation %}answer {{ s }}{% endgeneration %}
{% generation %}{% set g = 1 %}{{ g }}{% endgeneration %}{{ g is defined }}
{%- for m in users %}{% generation %}{{ m.name }}{% endgeneration %}{% endfor %}
{% block b %}inside {{ s }}{% endblock %}
{% set x = 1 %}{% block b %}{{ x }}{% endblock b %}
{% for k in l %}{% block b %}{{ k is defined }}{% endblock %}{% endfor %}
{% print 1, "a" %}
{% raw %}{{ not }} {% evaluated %}{% endraw %}
a {%- raw -%} {{ x }} {%- endraw -%} b
{# comment #}x{#- c -#} y
a {# c #} b
a {#- c #} b
{% set c = cycler("a", "b") %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.next() }}
{% set j = joiner("; ") %}{% for k in l %}{{ j() }}{{ k }}{% endfor %}
{% set j = joiner() %}{{ j() }}a{{ j() }}b
{% set upper2 = s.upper %}{{ upper2() }}
{% set g = d.get %}{{ g("a") }}{{ g("q", 9) }}
{% set it = l|map("string") %}{{ it|list }}{{ it|list }}
{% set it = d|items %}{% for k, v in it %}{{ k }}{% endfor %}{% for k, v in it %}{{ k }}{% endfor %}
{% set x = "a" %}{% set x = x ~ "b" %}{% set x = x * 3 %}{{ x }}
{% set _ = d.update({"z": 1}) %}
{% set x = [] %}{% set x = x + [1] %}{{ x }}
{% include "x" %}
{% import "x" as y %}
{% from "x" import y %}
{% extends "x" %}
{% unknown %}
{% if 1 %}
{% endif %}
{% for k in l %}{% endif %}
{% else %}
{{ 1 + }}
{{ }}
{{ 1 2 }}
{{ "unterminated }}
{{ (1 }}
{{ 1) }}
{{ [1, 2 }}
{{ {"a" 1} }}
{{ a b }}
{{ 1 | }}
{{ 1 is }}
{{ x. }}
{{ x[ }}
{% set %}
{% set 1 = 2 %}
{% set true = 2 %}
{% set a.b.c = 2 %}
{% for in l %}{% endfor %}
{% for x l %}{% endfor %}
{% if %}{% endif %}
{{ foo(a=1, 2) }}
{{ foo(a=1, a=2) }}
{{ foo(*l, *l) }}
{{ 01 }}
{{ 1.e5 }}
{{ $ }}
{{ a ? b : c }}
{{ a && b }}
{{ !a }}
{{ @ }}
{# unclosed
{% raw %}unclosed
{{ unclosed
{% unclosed
{{ "a" }}{{ "b" }}
{{-"a"-}} x {{-"b"}}
a {{- " b " -}} c
a{{ s }}
}} %} #} { { % }
{{ '{{' }}{{ "%}" }}
{{ {"a": {"b": {}}} }}
{{ {"a": {"b": {}}}}}
{{ "é" ~ 'ü' }}
{{ ü }}
{{ s }} trailing
"""

_whitespace = [
    "{% if true %}\nx\n{% endif %}\ny",
    "a\n  {% if true %}  \nx\n  {% endif %}\ny",
    "a\n  {%- if true -%}  \n x \n  {%- endif -%}\n y",
    "a\n  {%+ if true +%}\n x \n  {% endif +%}\ny",
    "  {% set x = 1 %}\n  {{ x }}\n  {% set y = 2 %}  {{ y }}\n",
    "a {% if true %} b {% endif %} c\n",
    "a\n\t {% if true %}\n\tb\n\t {% endif %}\n",
    "{{ 1 }}\n{{ 2 }}\n\n{{ 3 }}\n",
    "{{ 1 -}}\n\n  {{- 2 }}\n",
    "x\n{# comment #}\ny\n{#- comment -#}\nz",
    "x\n  {# comment #}  \ny",
    "x {# comment #}\ny",
    "{# a #}  {# b #}\nx",
    "{% for k in [1,2] %}\n  {{ k }}\n{% endfor %}\n",
    "{% for k in [1,2] -%}\n  {{ k }}\n{%- endfor %}\n",
    "{%- for k in [1,2] %}\n  - {{ k }}\n{%- endfor %}\nend\n",
    "line\r\nline2\r{% if true %}\r\nx{% endif %}",
    "end newline\n",
    "end newlines\n\n",
    "\n",
    "",
    " ",
    "\n\n  {% if 1 %}\n\n{% endif %}\n\n",
    "{% raw %}\n a \n{% endraw %}\nb",
    "  {% raw %}  {{ a }}  {% endraw %}  \nb",
    "a\n  {% raw -%}\n b \n  {%- endraw %}\nc",
    "{% macro m() %}\nx\n{% endmacro %}\n[{{ m() }}]",
    "{% macro m() -%}\nx\n{%- endmacro %}\n[{{ m() }}]",
    "{% set x %}\n  text\n{% endset %}\n[{{ x }}]",
    "\u00a0{% if 1 %}x{% endif %}\u00a0",
    "a\u00a0{%- if 1 -%}\u3000x{% endif %}",
    "{{ 'a\nb' }}\n{{ \"c\r\nd\" }}",
    "{{\n  1\n  +\n  2\n}}",
    "{%\n set x = 1\n%}{{ x }}",
    "{% if 1 -%}   \n\n   a{% endif %}",
    "a{% if 1 %}\n\nb{% endif %}",
    "   {{ 1 }}   {% if 1 %}   {% endif %}   \n   {% if 1 %}x{% endif %}",
    "{% if 1 %}a\n   {% endif %}{% if 1 %}\n   b{% endif %}",
    "{#\nmulti\nline\n#}\nx",
    "{% set a = 1 -%}\n{% set b = 2 -%}\n{{ a + b }}",
    "{{ multi }}|{{ multi|indent(2) }}|",
    "{% if true: %}x{% endif %}",
    "{%if true%}x{%endif%}{{i}}{{-i-}}",
    "{{i}}\n{%if true%}\n{{i}}\n{%endif%}\n{{i}}",
    "a  {%- set x = 1 +%}  \n b",
    "{{ '\\n' }}{% if 1 %}\n{{ '\\n' }}{% endif %}",
    "x{{ '' }}\n\n",
    "é{% if 1 %}ü\n{% endif %}世",
]

snippets = (
    ["{{ " + line + " }}" for line in _expressions.replace("\\\nb", "\x00").strip("\n").split("\n")]
    + [line for line in _statements.strip("\n").split("\n")]
    + _whitespace
)
snippets = [s.replace("\x00", "\\\nb").replace("\\\\", "\\") if "{{ " == s[:3] else s for s in snippets]
