/**
 * TensorBoard's smoothing: an exponential moving average, divided by the weight it has gathered so that it does not start at zero
 * (debiased). It remembers where it is: extending a curve costs only its new points. NaN stays NaN and is passed over.
 */
export class Smoothing {
  readonly weight: number;
  #values = new Float64Array(0);
  #done = 0;
  #average = 0;
  #gathered = 0;

  /** 0 ≤ weight < 1: the share of the past in every new value. */
  constructor(weight: number) {
    this.weight = weight;
  }

  /** Smoothed values of the first `length` of `values`, whose earlier part is what it was at the last call. */
  extend(values: Float64Array, length: number): Float64Array {
    if (this.#values.length < length) {
      const larger = new Float64Array(values.length);
      larger.set(this.#values.subarray(0, this.#done));
      this.#values = larger;
    }
    for (let i = this.#done; i < length; i++) {
      const value = values[i];
      if (Number.isFinite(value)) {
        this.#average = this.#average * this.weight + value * (1 - this.weight);
        this.#gathered = this.#gathered * this.weight + (1 - this.weight);
        this.#values[i] = this.#average / this.#gathered;
      } else {
        this.#values[i] = value;
      }
    }
    this.#done = length;
    return this.#values;
  }
}
