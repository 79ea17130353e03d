// How much a model minds doing without secondary experts, layer by layer, and what may be left out for a given harm: after AdapMoE (Zhong et al., arXiv 2408.10284), with
// the harm measured at the model's output instead of estimated from gradients.
#pragma once

#include "model/gguf-file.h"
#include "rpc/errors.h"

#include <string>
#include <vector>

namespace moebius {

struct skip_step {
    double above   = 1.0;  // miss_thresholds::skip
    double harm    = 0.0;  // of leaving out all above it in this layer: mean KL divergence of the next-token distribution, nats per token
    double skipped = 0.0;  // share of the layer's assignments
};

struct layer_sensitivity {
    int32_t                block = 0;
    std::vector<skip_step> steps;  // descending `above`, the first is 1
};

// A budget, and what it came to on text that the calibration did not see, with everything left out that may be.
struct skip_check {
    double budget  = 0.0;
    double harm    = 0.0;  // measured
    double skipped = 0.0;
};

struct expert_sensitivity {
    uint64_t                       tokens = 0;  // measured on
    std::vector<layer_sensitivity> layers;      // MoE layers
    std::vector<skip_check>        checks;
};

// Collects what a layer's steps are made of: measured is the harm of leaving out all secondary experts, and harm grows with the square of the share of gate weight that is
// left out (the loss is flat at its minimum: its change begins with the second order).
class layer_gates {
  public:
    // unimportance and weights: [tokens][used], of one batch
    void add(const std::vector<double> & unimportance, const std::vector<float> & weights, int64_t used);
    // harm: measured, of leaving out all secondary experts.
    std::vector<skip_step> steps(double harm) const;

  private:
    static constexpr size_t grid = 20;
    uint64_t                tokens = 0, assignments = 0;
    double                  squares[grid + 1] = {};  // at `above` = 1 - i / grid
    uint64_t                dropped[grid + 1] = {};
};

// Thresholds [layers] that leave out as many assignments as possible, while the harms add up to no more than `budget`: steps of any layer are taken in the order of what
// they leave out for their harm.
std::vector<double> skip_thresholds(const expert_sensitivity & of, double budget);

// Where it is kept: the path of the model's first file and ".sensitivity".
std::string sensitivity_path_of(const gguf_model & file);

json sensitivity_to_json(const expert_sensitivity & of);

// Appears whole or not at all. Throws disk.full, file.unwritable.
void sensitivity_write(const std::string & path, const std::string & fingerprint, const expert_sensitivity & of);
// Throws request.invalid if there is none, or it is of another model, or damaged: it then says to calibrate.
expert_sensitivity sensitivity_read(const std::string & path, const std::string & fingerprint);

}  // namespace moebius
