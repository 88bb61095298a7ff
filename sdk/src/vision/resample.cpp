#include "vision/resample.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "core/checked.h"
#include "vision/lines.h"

namespace kl {
namespace {

constexpr size_t kLanes = 8;             // taps of a line are padded to whole groups of these, for the vector unit
constexpr int kPillowBits = 32 - 8 - 2;  // Pillow's PRECISION_BITS: a sum of weights above 1 and 8-bit values fit in 32
constexpr int kLowBits = 11;             // such a weight is two 16-bit ones: high << 11 | low

struct Kernel {
  double support;
  double (*at)(double x);
};

double bilinear(double x) { return std::max(0.0, 1.0 - std::abs(x)); }
double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0.0;
}
double sinc(double x) { return x == 0 ? 1.0 : std::sin(x * std::numbers::pi) / (x * std::numbers::pi); }
double lanczos(double x) { return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0.0; }

Kernel kernel_of(Filter filter) {
  switch (filter) {
    case Filter::bilinear:
      return {1, bilinear};
    case Filter::bicubic:
      return {2, bicubic};
    case Filter::lanczos:
      return {3, lanczos};
  }
  return {1, bilinear};
}

size_t most_taps(uint32_t from, uint32_t to, Filter filter) {
  const double scale = std::max(1.0, static_cast<double>(from) / to);
  return static_cast<size_t>(std::ceil(kernel_of(filter).support * scale)) * 2 + 1;
}

// What each output takes from which inputs.
struct Taps {
  size_t stride = 0;            // weights from output to output, a multiple of kLanes
  int bits = 0;                 // fraction bits of a weight
  std::vector<uint32_t> first;  // [outputs]
  std::vector<uint32_t> count;  // [outputs]
  std::vector<int16_t> high;    // [outputs][stride], zero behind count
  std::vector<int16_t> low;     // the same, pillow only: the weight is high << kLowBits | low
};

// The originals' two ways to round: a half is added (taken off) and the fraction dropped.
int64_t half_up(double value) {
  const double shifted = value + 0.5;
  return static_cast<int64_t>(shifted);
}
int32_t fixed_point(double weight, int bits) {
  const double scaled = weight * (1 << bits);
  return static_cast<int32_t>(scaled < 0 ? -half_up(-scaled) : half_up(scaled));
}

// Outputs [begin, begin + outputs) of `to`, from `from` inputs.
Taps make_taps(uint32_t from, uint32_t to, uint32_t begin, uint32_t outputs, Filter filter, Sums sums) {
  const Kernel kernel = kernel_of(filter);
  const double scale = static_cast<double>(from) / to;
  const double filter_scale = std::max(1.0, scale);
  const double support = kernel.support * filter_scale;
  Taps taps;
  taps.stride = round_up(most_taps(from, to, filter), kLanes);
  taps.first.resize(outputs);
  taps.count.resize(outputs);
  const auto reach = [&](uint32_t output, uint32_t& first, uint32_t& count) {
    const double center = scale * (output + 0.5);
    const auto low = half_up(center - support);
    const auto high = half_up(center + support);
    first = static_cast<uint32_t>(std::max<int64_t>(low, 0));
    count = static_cast<uint32_t>(std::min<int64_t>(high, from) - first);
    return center;
  };
  std::vector<double> weights(taps.stride);
  const auto weigh = [&](uint32_t output) {
    uint32_t first = 0;
    uint32_t count = 0;
    const double center = reach(output, first, count);
    double sum = 0;
    for (uint32_t i = 0; i < count; ++i) sum += weights[i] = kernel.at((i + first - center + 0.5) * (1.0 / filter_scale));
    for (uint32_t i = 0; i < count && sum != 0; ++i) weights[i] /= sum;
    return count;
  };

  taps.bits = kPillowBits;
  if (sums == Sums::torch) {
    // The largest weight of all outputs decides, those outside the window too. When enlarging, that of an output whose taps are all there falls with its
    // distance from the nearest input, so only outputs nearer than any before are weighed: an output can be millions wide (a crop of a thin strip).
    double largest = 0;
    double nearest = 1;
    for (uint32_t output = 0; output < to; ++output) {
      const double center = scale * (output + 0.5);
      if (scale < 1 && center >= support && center + support <= from) {
        const double distance = std::abs(center - std::floor(center) - 0.5);
        if (distance > nearest + 1e-9) continue;
        nearest = std::min(nearest, distance);
      }
      const uint32_t count = weigh(output);
      largest = std::max(largest, *std::max_element(weights.begin(), weights.begin() + count));
    }
    taps.bits = 0;
    while (taps.bits < kPillowBits && half_up(largest * (1 << (taps.bits + 1))) < (1 << 15)) ++taps.bits;
  }
  taps.high.resize(taps.stride * outputs);
  if (sums == Sums::pillow) taps.low.resize(taps.high.size());
  for (uint32_t o = 0; o < outputs; ++o) {
    reach(begin + o, taps.first[o], taps.count[o]);
    weigh(begin + o);
    for (uint32_t i = 0; i < taps.count[o]; ++i) {
      const size_t at = o * taps.stride + i;
      const int32_t weight = fixed_point(weights[i], taps.bits);
      if (sums == Sums::torch) {
        taps.high[at] = static_cast<int16_t>(weight);
      } else {
        taps.high[at] = static_cast<int16_t>(weight >> kLowBits);
        taps.low[at] = static_cast<int16_t>(weight & ((1 << kLowBits) - 1));
      }
    }
  }
  return taps;
}

uint8_t to_pixel(int32_t sum, int bits) { return static_cast<uint8_t>(std::clamp((sum + (1 << (bits - 1))) >> bits, 0, 255)); }

// n: a multiple of kLanes. Written so that the compiler makes multiply-add of 16-bit pairs of it.
int32_t dot(const int16_t* a, const int16_t* b, size_t n) {
  int32_t sum = 0;
  for (size_t i = 0; i < n; ++i) sum += static_cast<int32_t>(a[i]) * b[i];
  return sum;
}

// Along lines: [from][3] to [outputs][3], by way of one plane a colour.
class LinePass {
 public:
  LinePass(uint32_t from, Taps taps) : taps_(std::move(taps)), from_(from), plane_(from + taps_.stride), planes_(3 * plane_) {}

  void run(const uint8_t* rgb, int16_t* out) {
    int16_t* const r = planes_.data();
    int16_t* const g = r + plane_;
    int16_t* const b = g + plane_;
    for (uint32_t x = 0; x < from_; ++x) {
      r[x] = rgb[3 * size_t{x}];
      g[x] = rgb[3 * size_t{x} + 1];
      b[x] = rgb[3 * size_t{x} + 2];
    }
    const size_t outputs = taps_.first.size();
    for (size_t o = 0; o < outputs; ++o) {
      const int16_t* high = taps_.high.data() + o * taps_.stride;
      const size_t count = round_up(taps_.count[o], kLanes);
      for (size_t c = 0; c < 3; ++c) {
        const int16_t* from = planes_.data() + c * plane_ + taps_.first[o];
        int32_t sum = dot(high, from, count);
        if (!taps_.low.empty()) sum = (sum << kLowBits) + dot(taps_.low.data() + o * taps_.stride, from, count);
        out[3 * o + c] = to_pixel(sum, taps_.bits);
      }
    }
  }

 private:
  Taps taps_;
  uint32_t from_;
  size_t plane_;  // values from plane to plane; zeros behind the line, for taps that are padded
  std::vector<int16_t> planes_;
};

// sum[i] += weight * line[i]
void add_line(int32_t* sum, const int16_t* line, int16_t weight, size_t n) {
  for (size_t i = 0; i < n; ++i) sum[i] += static_cast<int32_t>(weight) * line[i];
}

}  // namespace

const uint8_t* ViewLines::line(uint32_t y) {
  const std::byte* from = view_.data + size_t{y} * view_.stride;
  if (view_.format == PixelFormat::rgb8) return reinterpret_cast<const uint8_t*>(from);
  converted_.resize(size_t{3} * view_.width);
  rgb_line(from, view_.width, view_.format, false, converted_.data());
  return converted_.data();
}

Picture resample(LineSource& source, uint32_t width, uint32_t height, const Window& window, Filter filter, Sums sums) {
  const bool narrow = source.width() != width;
  const bool flatten = source.height() != height;
  const size_t values = size_t{3} * window.width;
  Picture picture{window.width, window.height, std::vector<uint8_t>(values * window.height)};

  LinePass along(narrow ? source.width() : 0, narrow ? make_taps(source.width(), width, window.left, window.width, filter, sums) : Taps{});
  const auto finished_line = [&](uint32_t y, int16_t* out) {
    const uint8_t* line = source.line(y);
    if (narrow) {
      along.run(line, out);
    } else {
      std::copy_n(line + size_t{3} * window.left, values, out);
    }
  };

  if (!flatten) {
    std::vector<int16_t> line(values);
    for (uint32_t y = 0; y < window.height; ++y) {
      finished_line(window.top + y, line.data());
      for (size_t i = 0; i < values; ++i) picture.rgb[y * values + i] = static_cast<uint8_t>(line[i]);
    }
    return picture;
  }

  const Taps across = make_taps(source.height(), height, window.top, window.height, filter, sums);
  const size_t ring_lines = std::min<size_t>(most_taps(source.height(), height, filter) + 1, source.height());
  std::vector<int16_t> ring(ring_lines * values);  // line y of the source, done with the first pass, at y % ring_lines
  std::vector<int32_t> high(values);
  std::vector<int32_t> low(across.low.empty() ? 0 : values);
  uint32_t next = across.first[0];  // line that the ring has not seen
  for (uint32_t o = 0; o < window.height; ++o) {
    const uint32_t first = across.first[o];
    const uint32_t end = first + across.count[o];
    for (next = std::max(next, first); next < end; ++next) {
      int16_t* const out = ring.data() + next % ring_lines * values;
      if (next > across.first[0] && source.repeats(next)) {
        std::copy_n(ring.data() + (next - 1) % ring_lines * values, values, out);
      } else {
        finished_line(next, out);
      }
    }
    std::fill(high.begin(), high.end(), 0);
    std::fill(low.begin(), low.end(), 0);
    for (uint32_t y = first; y < end; ++y) {
      const size_t tap = o * across.stride + (y - first);
      const int16_t* line = ring.data() + y % ring_lines * values;
      add_line(high.data(), line, across.high[tap], values);
      if (!low.empty()) add_line(low.data(), line, across.low[tap], values);
    }
    uint8_t* out = picture.rgb.data() + o * values;
    if (low.empty()) {
      for (size_t i = 0; i < values; ++i) out[i] = to_pixel(high[i], across.bits);
    } else {
      for (size_t i = 0; i < values; ++i) out[i] = to_pixel((high[i] << kLowBits) + low[i], across.bits);
    }
  }
  return picture;
}

Picture resample(const PixelView& view, uint32_t width, uint32_t height, Filter filter, Sums sums) {
  ViewLines lines(view);
  return resample(lines, width, height, {0, 0, width, height}, filter, sums);
}

uint64_t resample_bytes(uint32_t from_width, uint32_t from_height, uint32_t width, uint32_t height, const Window& window, Filter filter) {
  const uint64_t values = uint64_t{3} * window.width;
  const uint64_t along = most_taps(from_width, width, filter) + kLanes;
  const uint64_t across = most_taps(from_height, height, filter) + kLanes;
  const uint64_t taps = (along * window.width + across * window.height) * 4 + (uint64_t{window.width} + window.height) * 8;
  const uint64_t planes = 3 * (from_width + along) * 2 + uint64_t{3} * from_width;  // and a converted line
  const uint64_t ring = std::min<uint64_t>(across, from_height) * values * 2 + values * 8;
  return values * window.height + taps + (along + across) * 8 + planes + ring;
}

}  // namespace kl
