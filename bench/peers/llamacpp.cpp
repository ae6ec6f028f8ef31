// llama.cpp's own speed, from the library that node-llama-cpp ships: driven from C++ with a kept pool of threads, since the package's API makes a new
// one every step (13 ms of a step of 28 at two threads). llamacpp.ts builds and runs it:   llamacpp FILE.gguf THREADS
// Every line on standard input is a piece of work, done without sampling; the answer is its seconds, what comes before it not counted:
//   prefill FLASH TOKENS               reads a prompt into an empty cache
//   decode FLASH SEQS BEFORE STEPS     decodes STEPS tokens of each of SEQS sequences, which have BEFORE tokens already
//   sample FLASH TOKENS STEPS          reads a prompt and decodes STEPS tokens
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <thread>
#include <utility>
#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "llama.h"

static llama_model *model;
static int threads;
static ggml_threadpool *pool;

static double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

static llama_context *context(int flash, int seqs) {
    static std::map<std::pair<int, int>, llama_context *> made;
    llama_context *&ctx = made[{flash, seqs}];
    if (ctx) return ctx;
    auto params = llama_context_default_params();
    params.n_ctx = 1024 * seqs, params.n_batch = params.n_ubatch = 512, params.n_seq_max = seqs, params.n_threads = params.n_threads_batch = threads;
    params.flash_attn_type = flash ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    ctx = llama_init_from_model(model, params);
    llama_attach_threadpool(ctx, pool, nullptr);
    return ctx;
}

// The next `count` tokens of every sequence, in as many calls as batches of 512 take.
static void decode(llama_context *ctx, int seqs, int from, int count) {
    static llama_batch batch = llama_batch_init(512, 0, 1);
    const int vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
    for (int s = 0; s < seqs; s += count > 1 ? 1 : seqs) {
        batch.n_tokens = 0;
        for (int t = s; t < (count > 1 ? s + 1 : seqs); t++)
            for (int i = 0; i < count; i++) {
                const int k = batch.n_tokens++;
                batch.token[k] = 300 + rand() % (vocab - 300), batch.pos[k] = from + i, batch.n_seq_id[k] = 1, batch.seq_id[k][0] = t, batch.logits[k] = i == count - 1;
            }
        if (llama_decode(ctx, batch)) fprintf(stderr, "llama_decode failed\n"), exit(1);
    }
}

int main(int, char **argv) {
    threads = atoi(argv[2]);
    llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    ggml_backend_load_all_from_path(LIBRARIES);
    auto params = llama_model_default_params();
    params.n_gpu_layers = 0;
    model = llama_model_load_from_file(argv[1], params);
    if (!model) return fprintf(stderr, "%s cannot be loaded\n", argv[1]), 1;
    auto reg = ggml_backend_reg_by_name("CPU");
    auto pool_new = (decltype(ggml_threadpool_new) *)ggml_backend_reg_get_proc_address(reg, "ggml_threadpool_new");
    auto pool_params = ggml_threadpool_params_default(threads);
    pool_params.poll = 10, pool_params.strict_cpu = true; // spins some 30 ms for more work
    for (int i = 0; i < threads; i++) pool_params.cpumask[i] = true;
    pool = pool_new(&pool_params);
    puts("{\"ready\":1}"), fflush(stdout);

    char line[256], what[16];
    while (fgets(line, sizeof line, stdin)) {
        int flash, a, b = 0, c = 0;
        sscanf(line, "%15s %d %d %d %d", what, &flash, &a, &b, &c);
        const bool prefill = !strcmp(what, "prefill"), sample = !strcmp(what, "sample");
        llama_context *ctx = context(flash, prefill || sample ? 1 : a);
        llama_memory_clear(llama_get_memory(ctx), true);
        if (!prefill && !sample) decode(ctx, a, 0, b);
        const double start = now();
        if (prefill || sample) decode(ctx, 1, 0, a);
        if (sample) for (int i = 0; i < b; i++) decode(ctx, 1, a + i, 1);
        if (!prefill && !sample) for (int i = 0; i < c; i++) decode(ctx, a, b + i, 1);
        const double seconds = now() - start;
        std::this_thread::sleep_for(std::chrono::milliseconds(100)); // until its threads sleep: others are timed next
        printf("{\"seconds\":%.6f}\n", seconds), fflush(stdout);
    }
}
