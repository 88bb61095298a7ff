#include "text/jinja/strftime.h"

#include <array>
#include <cctype>

namespace kl::jinja {
namespace {

constexpr std::array<const char*, 12> kMonths = {"January", "February", "March",     "April",   "May",      "June",
                                                 "July",    "August",   "September", "October", "November", "December"};
constexpr std::array<const char*, 7> kDays = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};

bool leap(int year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }
int days_in(int year, int month) {
  constexpr std::array<int, 12> kLength = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return kLength[static_cast<size_t>(month - 1)] + (month == 2 && leap(year) ? 1 : 0);
}
int year_day(const CivilTime& t) {
  int day = t.day;
  for (int month = 1; month < t.month; ++month) day += days_in(t.year, month);
  return day;
}
int week_day(const CivilTime& t) {  // 0 = Sunday; years 1 and later of the Gregorian calendar
  const int y = t.year - 1;
  return (y * 365 + y / 4 - y / 100 + y / 400 + year_day(t)) % 7;
}
bool valid(const CivilTime& t) {
  return t.year >= 1 && t.year <= 9999 && t.month >= 1 && t.month <= 12 && t.day >= 1 && t.day <= days_in(t.year, t.month) && t.hour >= 0 &&
         t.hour < 24 && t.minute >= 0 && t.minute < 60 && t.second >= 0 && t.second < 60;
}

// `digits` decimal digits at text[pos].
bool number(std::string_view text, size_t& pos, size_t digits, int& out) {
  if (pos + digits > text.size()) return false;
  out = 0;
  for (size_t end = pos + digits; pos < end; ++pos) {
    if (text[pos] < '0' || text[pos] > '9') return false;
    out = out * 10 + (text[pos] - '0');
  }
  return true;
}
bool one_of(std::string_view text, size_t& pos, std::string_view any) {
  if (pos >= text.size() || any.find(text[pos]) == std::string_view::npos) return false;
  ++pos;
  return true;
}

std::string padded(int value, int width, char pad, char flag) {
  if (flag == '-') return std::to_string(value);
  if (flag == '_') pad = ' ';
  if (flag == '0') pad = '0';
  std::string digits = std::to_string(value);
  if (digits.size() < static_cast<size_t>(width)) digits.insert(0, static_cast<size_t>(width) - digits.size(), pad);
  return digits;
}

}  // namespace

Result<CivilTime> parse_time(std::string_view iso) {
  CivilTime t;
  size_t pos = 0;
  bool ok = number(iso, pos, 4, t.year) && one_of(iso, pos, "-") && number(iso, pos, 2, t.month) && one_of(iso, pos, "-") &&
            number(iso, pos, 2, t.day);
  if (ok && pos < iso.size()) {
    ok = one_of(iso, pos, "T ") && number(iso, pos, 2, t.hour) && one_of(iso, pos, ":") && number(iso, pos, 2, t.minute);
    if (ok && one_of(iso, pos, ":")) ok = number(iso, pos, 2, t.second);
    if (ok) one_of(iso, pos, "Z");
  }
  if (!ok || pos != iso.size() || !valid(t)) {
    return error(Code::invalid_argument, "expected a time such as 2024-07-26T09:05:00, got '%.*s'", static_cast<int>(iso.size()),
                 iso.data());
  }
  return t;
}

Result<std::string> strftime(const CivilTime& time, std::string_view format) {
  if (!valid(time)) return error(Code::invalid_argument, "the time of this rendering is not a valid date");
  std::string out;
  const int hour12 = time.hour % 12 == 0 ? 12 : time.hour % 12;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 >= format.size()) {
      out += format[i];
      continue;
    }
    char flag = '\0';
    if (std::string_view("-_0^").find(format[i + 1]) != std::string_view::npos && i + 2 < format.size()) flag = format[++i];
    const char c = format[++i];
    std::string piece;
    const auto again = [&](std::string_view inner) -> Status {
      KL_ASSIGN(piece, strftime(time, inner));
      return {};
    };
    switch (c) {
      case 'Y':
        piece = std::to_string(time.year);
        break;
      case 'C':
        piece = padded(time.year / 100, 2, '0', flag);
        break;
      case 'y':
        piece = padded(time.year % 100, 2, '0', flag);
        break;
      case 'm':
        piece = padded(time.month, 2, '0', flag);
        break;
      case 'd':
        piece = padded(time.day, 2, '0', flag);
        break;
      case 'e':
        piece = padded(time.day, 2, ' ', flag);
        break;
      case 'H':
        piece = padded(time.hour, 2, '0', flag);
        break;
      case 'k':
        piece = padded(time.hour, 2, ' ', flag);
        break;
      case 'I':
        piece = padded(hour12, 2, '0', flag);
        break;
      case 'l':
        piece = padded(hour12, 2, ' ', flag);
        break;
      case 'M':
        piece = padded(time.minute, 2, '0', flag);
        break;
      case 'S':
        piece = padded(time.second, 2, '0', flag);
        break;
      case 'f':
        piece = "000000";
        break;  // microseconds (Python)
      case 'j':
        piece = padded(year_day(time), 3, '0', flag);
        break;
      case 'B':
        piece = kMonths[static_cast<size_t>(time.month - 1)];
        break;
      case 'b':
      case 'h':
        piece = std::string(kMonths[static_cast<size_t>(time.month - 1)]).substr(0, 3);
        break;
      case 'A':
        piece = kDays[static_cast<size_t>(week_day(time))];
        break;
      case 'a':
        piece = std::string(kDays[static_cast<size_t>(week_day(time))]).substr(0, 3);
        break;
      case 'w':
        piece = std::to_string(week_day(time));
        break;
      case 'u':
        piece = std::to_string(week_day(time) == 0 ? 7 : week_day(time));
        break;
      case 'U':
        piece = padded((year_day(time) + 6 - week_day(time)) / 7, 2, '0', flag);
        break;
      case 'W':
        piece = padded((year_day(time) + 6 - (week_day(time) + 6) % 7) / 7, 2, '0', flag);
        break;
      case 'p':
        piece = time.hour < 12 ? "AM" : "PM";
        break;
      case 'P':
        piece = time.hour < 12 ? "am" : "pm";
        break;
      case 'D':
      case 'x':
        KL_TRY(again("%m/%d/%y"));
        break;
      case 'F':
        KL_TRY(again("%Y-%m-%d"));
        break;
      case 'R':
        KL_TRY(again("%H:%M"));
        break;
      case 'T':
      case 'X':
        KL_TRY(again("%H:%M:%S"));
        break;
      case 'r':
        KL_TRY(again("%I:%M:%S %p"));
        break;
      case 'c':
        KL_TRY(again("%a %b %e %H:%M:%S %Y"));
        break;
      case 'Z':
      case 'z':
        break;  // a naive time has no zone
      case 'n':
        piece = "\n";
        break;
      case 't':
        piece = "\t";
        break;
      case '%':
        piece = "%";
        break;
      default:
        return error(Code::unsupported, "strftime: the conversion %%%c is not supported", c);
    }
    if (flag == '^') {
      for (char& letter : piece) letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
    }
    out += piece;
  }
  return out;
}

}  // namespace kl::jinja
