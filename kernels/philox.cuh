// Philox4x32-10, the generator of xpnn.random: word i of a key is word i % 4 of block i / 4, whatever asks for it.
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

struct PhiloxKey {
    unsigned seed_low, seed_high, stream_low, stream_high;
};

struct PhiloxWords {
    unsigned word[4];
};

// The four words of a block of a key: the permutation of the counter (block low, block high, stream low, stream high).
__device__ __forceinline__ PhiloxWords philox(unsigned long long block, const PhiloxKey& key) {
    unsigned x0 = unsigned(block), x1 = unsigned(block >> 32), x2 = key.stream_low, x3 = key.stream_high;
    unsigned k0 = key.seed_low, k1 = key.seed_high;
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        const unsigned high0 = __umulhi(x0, 0xD2511F53u), low0 = x0 * 0xD2511F53u;
        const unsigned high1 = __umulhi(x2, 0xCD9E8D57u), low1 = x2 * 0xCD9E8D57u;
        x0 = high1 ^ x1 ^ k0;
        x1 = low1;
        x2 = high0 ^ x3 ^ k1;
        x3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return {{x0, x1, x2, x3}};
}
