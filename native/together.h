// Linears of the same rows of x that follow one another, as q, k and v or gate and up do, know nothing of each other: they wait here until
// another call comes, and then run as one. At one token each of them takes 2 to 20 µs, of which handing it to the threads and the first lines
// of its weight are much. Nobody sees that they wait: every call that could see what they write has them run first.
#pragma once
#include <cstddef>

#include "kernels.h"

namespace attune {

class Together {
 public:
  Together(Context& context, const Kernels& kernels) : context_(context), kernels_(kernels) {}

  /// `linear` of x(N,I), whose weight has so many bytes. Joins those that wait where none of them reads or writes what another writes.
  void add(const Linear& linear, std::size_t weight_bytes, const float* x, i64 N, i64 I);
  /// Before anything that may read what they write, write what they read, or free either.
  void settle() {
    if (count_ > 0) run();
  }

 private:
  struct Range {
    const char *begin, *end;
    bool meets(const Range& other) const { return begin < other.end && other.begin < end; }
  };
  struct Reach {
    Range out, weight, bias;
  };
  void run();

  Context& context_;
  const Kernels& kernels_;
  Linear waiting_[most_linears];
  Reach reach_[most_linears];
  int count_ = 0;
  const float* x_ = nullptr;
  i64 N_ = 0, I_ = 0;
};

}  // namespace attune
