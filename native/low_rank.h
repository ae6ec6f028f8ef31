// The gradients of a low-rank update's two matrices: products so narrow that packing panels for them takes longer than they do.
#pragma once
#include "simd.h"

namespace attune::ATTUNE_ISA {

/// Whether low_rank_product takes so many columns of `narrow`; for more the packed product is as good.
ATTUNE_INLINE bool is_low_rank(i64 R) { return R > 0 && R <= 32 && R % 4 == 0; }

/// out(R,I) = beta · out + alpha · narrow(N,R)ᵀ · wide(N,I), or with `turned` out(I,R) from its transpose. N ≥ 1; beta 0 never reads out.
void low_rank_product(Context& c, float* out, bool turned, const float* narrow, const float* wide, i64 N, i64 R, i64 I, float alpha, float beta);

}  // namespace attune::ATTUNE_ISA
