// Rows by index: the embedding, what carries loss, and back. No atomics: rows that share an index are added by one block, in order.
#include "blocks.cuh"

template <class W>
DEVICE void gather(float* out, const W* table, const int* index, int C, int rows, Fault* fault) {
  const int n = blockIdx.x, row = index[n];
  if (!within(row, rows, fault, FAULT_GATHER, n)) return;
  for (int c = threadIdx.x; c < C; c += blockDim.x) {
    const W x = table[static_cast<i64>(row) * C + c];
    if constexpr (sizeof(W) == 2)
      out[static_cast<i64>(n) * C + c] = widen(x);
    else
      out[static_cast<i64>(n) * C + c] = x;
  }
}

KERNEL(128) gather_f32(float* out, const float* table, const int* index, int C, int rows, Fault* fault) { gather(out, table, index, C, rows, fault); }
EXPORT(gather_f32)
KERNEL(128) gather_bf16(float* out, const u16* table, const int* index, int C, int rows, Fault* fault) { gather(out, table, index, C, rows, fault); }
EXPORT(gather_bf16)

/// Of a table in blocks: a thread four numbers.
template <class B>
DEVICE void gather_fours(float* out, const void* table, const int* index, int C, int rows, Fault* fault) {
  const int n = blockIdx.x, row = index[n];
  if (!within(row, rows, fault, FAULT_GATHER, n)) return;
  const B numbers(table, static_cast<i64>(rows) * C);
  for (int c = threadIdx.x * 4; c < C; c += blockDim.x * 4) {
    const float4 four = numbers.decode(numbers.fetch(static_cast<i64>(row) * C + c, 4, true));
    float* to = out + static_cast<i64>(n) * C + c;
    to[0] = four.x, to[1] = four.y, to[2] = four.z, to[3] = four.w;
  }
}

KERNEL(128) gather_int8(float* out, const void* table, const int* index, int C, int rows, Fault* fault) { gather_fours<Int8>(out, table, index, C, rows, fault); }
EXPORT(gather_int8)
KERNEL(128) gather_q4_0(float* out, const void* table, const int* index, int C, int rows, Fault* fault) { gather_fours<Q4_0>(out, table, index, C, rows, fault); }
EXPORT(gather_q4_0)
KERNEL(128) gather_nf4(float* out, const void* table, const int* index, int C, int rows, Fault* fault) { gather_fours<Nf4>(out, table, index, C, rows, fault); }
EXPORT(gather_nf4)

/// All n numbers of a matrix in blocks, rounded to bf16: for a product that reads no blocks.
template <class B>
DEVICE void decode_all(u16* out, const void* from, i64 n) {
  const i64 at = (static_cast<i64>(blockIdx.x) * 256 + threadIdx.x) * 4;
  if (at >= n) return;
  const B numbers(from, n);
  store4<1>(out + at, 0, numbers.decode(numbers.fetch(at, 4, true)));
}

KERNEL(256) decode_int8(u16* out, const void* from, i64 n) { decode_all<Int8>(out, from, n); }
EXPORT(decode_int8)
KERNEL(256) decode_q4_0(u16* out, const void* from, i64 n) { decode_all<Q4_0>(out, from, n); }
EXPORT(decode_q4_0)
KERNEL(256) decode_nf4(u16* out, const void* from, i64 n) { decode_all<Nf4>(out, from, n); }
EXPORT(decode_nf4)

/// A block for each n. The block of an index's first n adds all rows of that index; the others find that they are not the first, and end.
KERNEL(128) scatter_add(float* table, const float* rows, const int* index, int N, int C, int height, Fault* fault) {
  __shared__ int seen[128];
  __shared__ int first;
  const int n = blockIdx.x, row = index[n], lane = threadIdx.x;
  if (!within(row, height, fault, FAULT_SCATTER, n)) return;
  if (lane == 0) first = 1;
  __syncthreads();
  for (int i = lane; i < n; i += 128)
    if (index[i] == row) first = 0;
  __syncthreads();
  if (!first) return;
  for (int from = n; from < N; from += 128) {
    seen[lane] = from + lane < N ? index[from + lane] : -1;
    __syncthreads();
    for (int i = 0; i < 128; i++)
      if (seen[i] == row)
        for (int c = lane; c < C; c += 128) table[static_cast<i64>(row) * C + c] += rows[static_cast<i64>(from + i) * C + c];
    __syncthreads();
  }
}
EXPORT(scatter_add)

/// The pair (x[d], x[d + R/2]) of head h of token n turns by its angle.
KERNEL(256) rope(float* x, const float* cos_sin, const int* positions, i64 pairs, int H, int D, int R, float direction, int limit, Fault* fault) {
  const i64 i = static_cast<i64>(blockIdx.x) * 256 + threadIdx.x;
  if (i >= pairs) return;
  const int half = R / 2, d = static_cast<int>(i % half);
  const i64 head = i / half, n = head / H;
  if (!within(positions[n], limit, fault, FAULT_POSITIONS, static_cast<int>(n))) return;
  const float* angle = cos_sin + static_cast<i64>(positions[n]) * R + d;
  const float cos = angle[0], sin = direction * angle[half];
  float* at = x + head * D + d;
  const float first = at[0], second = at[half];
  at[0] = first * cos - second * sin;
  at[half] = second * cos + first * sin;
}
EXPORT(rope)
