// See together.h.
#include "together.h"

namespace attune {

void Together::add(const Linear& linear, std::size_t weight_bytes, const float* x, i64 N, i64 I) {
  const auto range = [](const void* data, std::size_t bytes) {
    const char* begin = static_cast<const char*>(data);
    return Range{begin, begin + (begin ? bytes : 0)};
  };
  const auto floats = [&](const float* data, i64 count) { return range(data, static_cast<std::size_t>(count) * sizeof(float)); };
  const Reach reach{floats(linear.out, N * linear.O), range(linear.q8_0 ? linear.q8_0 : linear.w.data, weight_bytes), floats(linear.bias, linear.O)};
  bool joins = count_ < most_linears && x == x_ && N == N_ && I == I_;
  for (int i = 0; joins && i < count_; i++) {
    const Reach& other = reach_[i];
    joins = !reach.out.meets(other.out) && !reach.out.meets(other.weight) && !reach.out.meets(other.bias) && !other.out.meets(reach.weight) && !other.out.meets(reach.bias);
  }
  if (!joins) settle();
  x_ = x, N_ = N, I_ = I;
  reach_[count_] = reach;
  waiting_[count_++] = linear;
  if (reach.out.meets(floats(x, N * I))) settle();
}

void Together::run() {
  const int count = count_;
  count_ = 0;  // also where it throws
  kernels_.linears(context_, waiting_, count, x_, N_, I_);
}

}  // namespace attune
