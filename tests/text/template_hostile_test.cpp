// Templates and variables made to exhaust or crash: each is refused by a named error, quickly (rules R11, R13, R14; bar A9).
#include <gtest/gtest.h>

#include <ctime>
#include <random>
#include <thread>

#include "text/template_support.h"

namespace kl {
namespace {

using template_test::read_file;
using template_test::read_json;
using template_test::render;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr double kAllowedMs = 2000;  // sanitizers slow everything down
#else
constexpr double kAllowedMs = 50;
#endif

// Processor time of this thread: what it costs, whoever else runs on the machine.
double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

std::string repeat(const std::string& text, size_t times) {
  std::string out;
  out.reserve(text.size() * times);
  for (size_t i = 0; i < times; ++i) out += text;
  return out;
}

struct Refused {
  double ms;
  std::string message;
};
// The best of three runs.
Refused refused(const std::string& source, const std::string& json = "{}") {
  Refused best{1e9, ""};
  for (int i = 0; i < 3; ++i) {
    const double start = thread_seconds();
    const auto got = render(source, json);
    const double took = (thread_seconds() - start) * 1e3;
    if (got.ok()) return {took, ""};
    best = {std::min(best.ms, took), got.status().message()};
  }
  return best;
}

struct Bomb {
  const char* name;
  std::string source;
  const char* says;  // part of the message
};

std::vector<Bomb> bombs() {
  return {
      {"nested parentheses", "{{ " + repeat("(", 60000) + "1" + repeat(")", 60000) + " }}", "nested deeper than 128"},
      {"nested lists", "{{ " + repeat("[", 60000) + repeat("]", 60000) + " }}", "nested deeper than 128"},
      {"nested dicts", "{{ " + repeat("{1:", 60000) + "1" + repeat("}", 60000) + " }}", "nested deeper than 128"},
      {"nested calls", "{{ " + repeat("f(", 60000) + repeat(")", 60000) + " }}", "nested deeper than 128"},
      {"nested subscripts", "{{ " + repeat("a[", 60000) + "1" + repeat("]", 60000) + " }}", "nested deeper than 128"},
      {"nested targets", "{% set " + repeat("(", 60000) + "a" + repeat(")", 60000) + " = 1 %}", "nested deeper than 128"},
      {"many minus signs", "{{ " + repeat("-", 60000) + "1 }}", "nested deeper than 128"},
      {"many nots", "{{ " + repeat("not ", 60000) + "1 }}", "nested deeper than 128"},
      {"nested else", "{{ " + repeat("1 if 0 else ", 60000) + "1 }}", "nested deeper than 128"},
      {"nested ifs", repeat("{% if 1 %}", 60000) + repeat("{% endif %}", 60000), "nested deeper than 128"},
      {"nested fors", repeat("{% for a in b %}", 60000) + repeat("{% endfor %}", 60000), "nested deeper than 128"},
      {"nested macros", repeat("{% macro a() %}", 60000) + repeat("{% endmacro %}", 60000), "nested deeper than 128"},
      {"unclosed ifs", repeat("{% if 1 %}", 60000), "nested deeper than 128"},
      {"long sum", "{{ 1" + repeat("+1", 60000) + " }}", "256 chained parts"},
      {"long powers", "{{ 1" + repeat("**1", 60000) + " }}", "256 chained parts"},
      {"long filters", "{{ 1" + repeat("|abs", 60000) + " }}", "256 chained parts"},
      {"long attributes", "{{ a" + repeat(".b", 60000) + " }}", "256 chained parts"},
      {"long and", "{{ 1" + repeat(" and 1", 60000) + " }}", "256 chained parts"},
      {"self-calling macro", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "deeper than"},
      {"self-calling macro that doubles", "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}", "deeper than"},
      {"two macros", "{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}", "deeper than"},
      {"default argument calls its macro", "{% macro f(x=f()) %}{% endmacro %}{{ f() }}", "deeper than"},
      {"caller that calls its macro",
       "{% macro f() %}{{ caller() }}{% endmacro %}{% macro g() %}{% call f() %}{{ g() }}{% endcall %}{% endmacro %}{{ g() }}",
       "deeper than"},
      {"deep expression in a recursive macro",
       "{% macro f() %}{{ " + repeat("[", 100) + "f()" + repeat("]", 100) + " }}{% endmacro %}{{ f() }}", "deeper than"},
      {"recursive loop", "{% for k in [1] recursive %}{{ loop([1]) }}{% endfor %}", "deeper than"},
      {"huge range", "{% for i in range(1000000000) %}x{% endfor %}", "range() of more than"},
      {"huge range list", "{{ range(10**9)|list }}", "range() of more than"},
      {"range over all integers", "{{ range(-9223372036854775807 - 1, 9223372036854775807)|length }}", "range() of more than"},
      {"doubling a string", "{% set ns = namespace(s='x') %}{% for i in range(100000) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}", "bytes"},
      {"doubling with plus", "{% set ns = namespace(s='xy') %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}", "bytes"},
      {"string times integer", "{{ 'x' * 1000000000000 }}", "bytes"},
      {"string times largest integer", "{{ 'xyz' * 9223372036854775807 }}", "bytes"},
      {"list times integer", "{{ [1] * 1000000000000 }}", "bytes"},
      {"doubling a list", "{% set ns = namespace(s=[1]) %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}", "bytes"},
      {"list of itself", "{% set ns = namespace(s=[]) %}{% for i in range(100000) %}{% set ns.s = [ns.s] %}{% endfor %}",
       "deeper than 128"},
      {"printing a namespace that holds itself", "{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}", "contains itself"},
      {"printing two namespaces", "{% set a = namespace() %}{% set b = namespace(a=[a, a]) %}{% set a.b = [b, b] %}{{ a }}",
       "contains itself"},
      {"replace that grows", "{% set x = 'a' * 100000 %}{{ x.replace('a', x) }}", "bytes"},
      {"replace of nothing", "{% set x = 'a' * 100000 %}{{ x.replace('', x) }}", "bytes"},
      {"join that grows", "{% set x = 'a' * 100000 %}{{ x.join(x) }}", "bytes"},
      {"huge power", "{{ 10 ** 1000000000 }}", "64-bit"},
      {"huge product", "{{ 9223372036854775807 * 9223372036854775807 }}", "64-bit"},
      {"tower of powers", "{{ 9 ** 9 ** 9 ** 9 }}", "64-bit"},
      {"negated smallest integer", "{{ -(-9223372036854775807 - 1) }}", "64-bit"},
      {"smallest integer by minus one", "{{ (-9223372036854775807 - 1) // -1 }}", "64-bit"},
      {"integer literal", "{{ 99999999999999999999 }}", "64 bits"},
      {"wide percent", "{{ '%999999999d' % 1 }}", "widths"},
      {"wide brace", "{{ '{:>999999999}'.format(1) }}", "widths"},
      {"precise float", "{{ '%.999999999f' % 1.5 }}", "widths"},
      {"wide center", "{{ 'x'.center(10**12) }}", "bytes"},
      {"wide ljust", "{{ 'x'.ljust(10**12) }}", "bytes"},
      {"wide zfill", "{{ 'x'.zfill(10**12) }}", "bytes"},
      {"wide indent", "{{ ('a\n' * 1000)|indent(10**9) }}", "bytes"},
      {"wide json", "{{ [1]|tojson(indent=10**9) }}", "indent"},
      {"batch filled", "{{ [1]|batch(10**12, 0)|list }}", "the template"},
      {"many slices", "{{ [1]|slice(10**12)|list }}", "the template"},
      {"characters of a long string", "{{ ('x' * 16000000)|list|length }}", "bytes"},
      {"nested format fields", "{{ '{:{:{:{}}}}'.format(1, 2, 3, 4) }}", "recursion"},
      {"path of many parts", "{{ [1]|map(attribute='" + repeat("a.", 10000) + "a')|list }}", "64 parts"},
      {"outputs inside outputs", repeat("{% set x %}{{ 'x' * 1000000 }}", 100) + repeat("{% endset %}", 100), "bytes"},
      {"output without end", "{% set x = 'x' * 100000 %}{% for i in range(100000) %}{{ x }}{% endfor %}", "bytes"},
  };
}

TEST(TemplateHostile, BombsAreRefusedByNameWithinFiftyMilliseconds) {
  for (const Bomb& bomb : bombs()) {
    const Refused got = refused(bomb.source);
    EXPECT_NE(got.message, "") << bomb.name << " was rendered";
    EXPECT_NE(got.message.find(bomb.says), std::string::npos) << bomb.name << ": " << got.message;
    EXPECT_LE(got.ms, kAllowedMs) << bomb.name;
  }
}

TEST(TemplateHostile, WorkIsBoundedHoweverItIsSpent) {
  // Loops that would run for hours end at the step limit; the time is that of the limit, not of the loop.
  const std::vector<std::string> endless = {
      "{% set ns = namespace(s=[1]) %}{% for i in range(100) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}",
      "{% for i in range(100000) %}{% macro m() %}{% endmacro %}{% set x = 'y' * 1000 %}{% endfor %}",
      "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
      "{% set l = range(100000)|list %}{% for a in l %}{% if l == l[:] + [] %}{% endif %}{% endfor %}",
      "{% set l = range(50000)|list %}{% for a in l %}{{ l|sort|length }}{% endfor %}",
      "{% set x = 'a' * 1000000 %}{% for i in range(100000) %}{% set y = x.upper() %}{% endfor %}",
      "{% set x = 'a' * 8000000 %}{% set y = 'a' * 4000000 + 'b' %}{% for i in range(100000) %}{{ y in x }}{% endfor %}",
      "{% set x = 'a' * 8000000 %}{% set y = 'a' * 8000000 %}{% for i in range(100000) %}{% if x == y %}{% endif %}{% endfor %}",
      "{% set x = 'a' * 4000000 %}{% set l = [x ~ 'a', x ~ 'b'] * 40000 %}{{ l|sort|length }}",
      "{% set x = 'é' * 2000000 %}{% for i in range(100000) %}{{ x[1999999] }}{% endfor %}",
      "{% set a = 'x' * 9000000 %}{% for i in range(100000) %}{{ a|length }}{{ a.strip('y') |length }}{% endfor %}",
      "{% set l = ['a'] * 100000 %}{% for i in range(100000) %}{{ l|join|length }}{% endfor %}",
  };
  for (const std::string& source : endless) {
    const double start = thread_seconds();
    const auto got = render(source);
    const double took = thread_seconds() - start;
    EXPECT_FALSE(got.ok()) << source;
    EXPECT_NE(got.status().message().find("the template"), std::string::npos) << got.status().message();
    EXPECT_LE(took, kAllowedMs / 50 * 3) << source << "\n" << got.status().message();
  }
}

TEST(TemplateHostile, TheHostSetsTheLimits) {
  jinja::Limits small;
  small.steps = 100;
  EXPECT_NE(render("{% for i in range(1000) %}{{ i }}{% endfor %}", "{}", small).status().message().find("100 steps"), std::string::npos);
  small = {};
  small.output_bytes = 10;
  EXPECT_NE(render("0123456789a", "{}", small).status().message().find("10 bytes"), std::string::npos);
  EXPECT_TRUE(render("0123456789", "{}", small).ok());
  small = {};
  small.memory_bytes = 1000;
  EXPECT_EQ(render("{{ range(1000)|list|length }}", "{}", small).status().code(), Code::out_of_memory);
}

TEST(TemplateHostile, NothingOfTheHostCanBeReached) {
  for (const char* source :
       {"{{ ''.__class__.__mro__ }}", "{{ self._TemplateReference__context }}", "{{ cycler.__init__.__globals__ }}",
        "{{ [].__class__.__base__.__subclasses__() }}", "{{ lipsum() }}", "{{ open('/etc/passwd') }}", "{{ range.__self__.x }}",
        "{% include '/etc/passwd' %}", "{% import 'os' as os %}", "{{ '{0.__class__.__mro__}'.format(1) }}",
        "{{ ({}|attr('__class__')).mro() }}", "{{ namespace().__dict__.x }}"}) {
    EXPECT_FALSE(render(source).ok()) << source;
  }
}

TEST(TemplateHostile, ErrorsNameTheLine) {
  EXPECT_NE(render("a\nb\n{{ missing.x }}\n").status().message().find("line 3"), std::string::npos);
  EXPECT_NE(render("a\n\n\n{% if %}").status().message().find("line 4"), std::string::npos);
  EXPECT_NE(render("\n{% include 'x' %}").status().message().find("line 2: the statement 'include' is not supported"), std::string::npos);
  EXPECT_NE(render("{{ 'x'|wordwrap }}").status().message().find("'wordwrap' is not supported"), std::string::npos);
  EXPECT_NE(render("{{ raise_exception('no wizards') }}").status().message().find("no wizards"), std::string::npos);
  EXPECT_EQ(render("{{ 'x'|wordwrap }}").status().code(), Code::unsupported);
}

TEST(TemplateHostile, DamagedTemplatesAreTextOrACleanError) {
  const auto contexts = read_json("golden/chat_templates/contexts.json")["contexts"];
  const auto context = context_from_json(contexts["tool_results"].dump());
  ASSERT_TRUE(context.ok());
  std::mt19937 random(20250304);
  size_t errors = 0;
  for (const char* name : {"Qwen-Qwen3-0.6B", "google-gemma-4-31B-it", "meta-llama-Llama-3.1-8B-Instruct", "Kimi-K2-Instruct"}) {
    const std::string source = read_file(std::string("data/chat_templates/") + name + ".jinja");
    for (size_t length = 0; length < source.size(); length += 61) errors += render(source.substr(0, length), *context).ok() ? 0 : 1;
    const std::string alphabet = "{}%#-+()[]|.,:'\"\\~=<>!*/ \nabz019_\xC3\xFF";
    for (int i = 0; i < 400; ++i) {
      std::string damaged = source;
      for (int k = 0; k < 3; ++k) damaged[random() % damaged.size()] = alphabet[random() % alphabet.size()];
      errors += render(damaged, *context).ok() ? 0 : 1;
    }
  }
  EXPECT_GT(errors, 100u);
}

TEST(TemplateHostile, JsonContextsAreChecked) {
  EXPECT_FALSE(context_from_json("").ok());
  EXPECT_FALSE(context_from_json("[]").ok());
  EXPECT_FALSE(context_from_json("{\"a\": }").ok());
  EXPECT_FALSE(context_from_json("{\"a\": 1} x").ok());
  EXPECT_FALSE(context_from_json("{\"a\": \"\xFF\"}").ok());
  EXPECT_FALSE(context_from_json("{\"a\": \"\\ud800\"}").ok());
  EXPECT_FALSE(context_from_json("{\"a\": 99999999999999999999}").ok());
  EXPECT_FALSE(context_from_json("{\"a\": 1e999}").ok());
  EXPECT_NE(context_from_json("{\"a\": " + repeat("[", 60000)).status().message().find("deeper than 64"), std::string::npos);
  EXPECT_TRUE(context_from_json("{\"a\": " + repeat("[", 63) + repeat("]", 63) + "}").ok());
  EXPECT_FALSE(context_from_json("{\"a\": " + repeat("[", 64) + repeat("]", 64) + "}").ok());
  EXPECT_EQ(
      render("{{ a }} {{ b }} {{ c }} {{ d }}", R"({"a": 1, "b": 1.0, "c": -9223372036854775808, "d": {"z": 1, "a": [true, null]}})")->text,
      "1 1.0 -9223372036854775808 {'z': 1, 'a': [True, None]}");
}

TEST(TemplateHostile, OneTemplateServesManyThreads) {
  const auto parsed = ChatTemplate::parse(
      "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{{ m.content|upper }}{{ ns.n }}{% endfor %}");
  const auto context = context_from_json(R"({"messages": [{"content": "a"}, {"content": "b"}]})");
  ASSERT_TRUE(parsed.ok() && context.ok());
  std::vector<std::thread> threads;
  std::vector<std::string> texts(4);
  for (size_t t = 0; t < texts.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) texts[t] = parsed->render(*context)->text;
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& text : texts) EXPECT_EQ(text, "A1B2");
}

TEST(TemplateHostile, TheDeepestTemplateFitsASmallStack) {
  // Phones give threads 512 KiB; the deepest parse and the deepest run must fit (sanitizers need more).
  const std::string deep = "{% macro f(n) %}{{ [[[[f(n + 1)]]]] }}{% endmacro %}{{ " + repeat("(", 120) + "f(0)" + repeat(")", 120) + " }}";
  const std::string lists =
      "{% set ns = namespace(s=[]) %}{% for i in range(120) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s }}{{ ns.s|tojson }}";
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr size_t kStack = 8u << 20;
#else
  constexpr size_t kStack = 512u << 10;
#endif
  struct Job {
    std::string deep, lists, message;
    bool ok = false;
  } job{deep, lists, "", false};
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, kStack), 0);
  pthread_t thread{};
  const auto run = [](void* argument) -> void* {
    auto* j = static_cast<Job*>(argument);
    j->message = render(j->deep).status().message();
    j->ok = render(j->lists).ok();
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attributes, run, &job), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  EXPECT_NE(job.message.find("deeper than"), std::string::npos) << job.message;
  EXPECT_TRUE(job.ok);
}

}  // namespace
}  // namespace kl
