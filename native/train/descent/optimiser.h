// Steps of gradient descent on parameters in the host's memory: SGD, AdamW, AdamW with 8-bit states. The same bits on any number of threads.
#pragma once

#include "train/adapter/adapter.h"
#include "parameter-chunks.h"

namespace moebius {

enum class optimiser_kind {
    sgd,         // value - rate * gradient, nothing else unless asked: exactly that in float, so that two exports give the gradient away
    adamw,       // arXiv 1711.05101: decay apart from the gradient; bias correction as in arXiv 1412.6980
    adamw_8bit,  // arXiv 2110.02861: the same with moments kept in 8 bits
};

const char * optimiser_name(optimiser_kind kind);  // "sgd", "adamw", "adamw-8bit"

struct optimiser_settings {
    optimiser_kind kind         = optimiser_kind::adamw;
    double         weight_decay = 0;      // a step takes rate * weight_decay of a value away
    double         momentum     = 0;      // SGD's, below 1; 0: none, and no memory for it
    double         beta1        = 0.9;    // AdamW's, below 1
    double         beta2        = 0.999;
    double         epsilon      = 1e-8;   // as float above 0
};

// What one parameter wants differently.
struct parameter_settings {
    double rate_factor = 1;     // its learning rate is this times the step's
    bool   is_decayed  = true;
};

// Decay for adapters and matrices, none for vectors (norms, biases). b_rate_factor: of every adapter's b; LoRA+ (arXiv 2402.12354) takes 16, LoRA 1.
std::vector<parameter_settings> usual_parameter_settings(const adapter & adapter, double b_rate_factor = 1);

// A moment of one parameter: empty where the optimiser has none.
struct moment_state {
    std::vector<float>   values;  // 32 bits: as many as the parameter's
    std::vector<uint8_t> codes;   // 8 bits: as many, of dynamic_code
    std::vector<float>   scales;  // of codes, one a block (block_count)
};

struct parameter_state {
    std::string  name;
    moment_state first;   // AdamW's first moment, SGD's momentum
    moment_state second;  // AdamW's second moment
};

// All that an optimiser remembers. Stored and given back bit for bit, the run goes on as if it had not stopped.
struct optimiser_state {
    optimiser_kind               kind  = optimiser_kind::adamw;
    int64_t                      steps = 0;  // done
    std::vector<parameter_state> parameters;
};

// Bytes that the moments of these parameters take, which may be outlined.
uint64_t moment_bytes(const optimiser_settings & settings, const std::vector<train_parameter> & parameters);

class optimiser {
  public:
    // `of`: one for each of `parameters`. Throws request.invalid for settings that no optimiser can have.
    optimiser(const optimiser_settings & settings, const std::vector<train_parameter> & parameters, std::vector<parameter_settings> of);

    // Changes the values along their gradients. `parameters`: those of the constructor, gradients finite (gradients.h says whether). `rate` >= 0.
    void step(std::vector<train_parameter> & parameters, double rate, int threads);

    const optimiser_state & state() const { return kept; }
    // Throws request.invalid when it is another optimiser's or of other parameters.
    void restore(optimiser_state state);

    // Bytes that all moments take, for a plan of memory.
    size_t bytes() const;

  private:
    void update(const parameter_chunk & chunk, train_parameter & parameter, double rate);

    optimiser_settings              settings;
    std::vector<parameter_settings> of;
    std::vector<parameter_chunk>    chunks;
    optimiser_state                 kept;
};

}  // namespace moebius
