// conv_half: convolution in float16 and bfloat16 on tensor cores, summed in float32: forward, input gradient, weight gradient.
//
// The main loops are those of conv_tensor.cuh, the products those of conv_half.cuh.

#include "conv_half.cuh"
#include "conv_tensor.cuh"
