// RMSNorm and LayerNorm, a warp a row; gradients of weights and biases are sums down columns, in order of rows.
#include "platform.cuh"

DEVICE i64 row_of_warp() { return static_cast<i64>(blockIdx.x) * 4 + threadIdx.x / 32; }

KERNEL(128) rms_norm(float* out, float* rstd, const float* x, const float* weight, i64 N, int C, float eps) {
  const i64 n = row_of_warp();
  const int lane = threadIdx.x % 32;
  if (n >= N) return;
  const float* row = x + n * C;
  float squares = 0;
  for (int c = lane; c < C; c += 32) squares += row[c] * row[c];
  const float scale = 1.0f / sqrtf(warp_sum(squares) / C + eps);
  if (lane == 0) rstd[n] = scale;
  for (int c = lane; c < C; c += 32) out[n * C + c] = row[c] * scale * weight[c];
}
EXPORT(rms_norm)

KERNEL(128) rms_norm_backward(float* dx, const float* dout, const float* x, const float* weight, const float* rstd, i64 N, int C) {
  const i64 n = row_of_warp();
  const int lane = threadIdx.x % 32;
  if (n >= N) return;
  const float r = rstd[n];
  float turned = 0;
  for (int c = lane; c < C; c += 32) turned += dout[n * C + c] * weight[c] * (x[n * C + c] * r);  // undoes, through rstd: out = x · rstd · weight
  turned = warp_sum(turned) / C;
  // undoes out = x · rstd · weight through x, and rstd through x
  for (int c = lane; c < C; c += 32) dx[n * C + c] += r * (dout[n * C + c] * weight[c] - x[n * C + c] * r * turned);
}
EXPORT(rms_norm_backward)

KERNEL(128) layer_norm(float* out, float* mean, float* rstd, const float* x, const float* weight, const float* bias, i64 N, int C, float eps) {
  const i64 n = row_of_warp();
  const int lane = threadIdx.x % 32;
  if (n >= N) return;
  const float* row = x + n * C;
  float sum = 0, squares = 0;
  for (int c = lane; c < C; c += 32) sum += row[c];
  const float centre = warp_sum(sum) / C;
  for (int c = lane; c < C; c += 32) squares += (row[c] - centre) * (row[c] - centre);
  const float scale = 1.0f / sqrtf(warp_sum(squares) / C + eps);
  if (lane == 0) mean[n] = centre, rstd[n] = scale;
  for (int c = lane; c < C; c += 32) out[n * C + c] = (row[c] - centre) * scale * weight[c] + bias[c];
}
EXPORT(layer_norm)

KERNEL(128) layer_norm_backward(float* dx, const float* dout, const float* x, const float* weight, const float* mean, const float* rstd, i64 N, int C) {
  const i64 n = row_of_warp();
  const int lane = threadIdx.x % 32;
  if (n >= N) return;
  const float m = mean[n], r = rstd[n];
  float plain = 0, turned = 0;
  for (int c = lane; c < C; c += 32) {
    const float g = dout[n * C + c] * weight[c];
    plain += g;                            // undoes, through mean: out = (x − mean) · rstd · weight + bias
    turned += g * (x[n * C + c] - m) * r;  // undoes, through rstd, the same line
  }
  plain = warp_sum(plain) / C;
  turned = warp_sum(turned) / C;
  for (int c = lane; c < C; c += 32) dx[n * C + c] += r * (dout[n * C + c] * weight[c] - plain - (x[n * C + c] - m) * r * turned);
}
EXPORT(layer_norm_backward)

/// sums(C) += Σₙ dout(N,C) · (x(N,C) − mean(N)) · rstd(N), where x is null of dout alone, where mean is null with 0 for it. A block takes 32 columns,
/// its eight warps every eighth row.
KERNEL(256) column_sums(float* sums, const float* dout, const float* x, const float* mean, const float* rstd, i64 N, int C) {
  __shared__ float part[8][32];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, c = blockIdx.x * 32 + lane;
  float sum = 0;
  if (c < C)
    for (i64 n = warp; n < N; n += 8) {
      const float d = dout[n * C + c];
      sum += x ? d * ((x[n * C + c] - (mean ? mean[n] : 0.0f)) * rstd[n]) : d;
    }
  part[warp][lane] = sum;
  __syncthreads();
  if (warp == 0 && c < C) {
    for (int i = 1; i < 8; i++) sum += part[i][lane];
    sums[c] += sum;
  }
}
EXPORT(column_sums)
