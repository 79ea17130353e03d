// What is trained of which small model, with which batch, so that another program can do the same (test/reference/training).
#pragma once

#include "model/gguf-file.h"
#include "small-base.h"
#include "train/adapter/new-adapter.h"
#include "train/data/token-batch.h"
#include "train/pass/pass.h"

#include <string>
#include <vector>

namespace moebius_test {

struct reference_case {
    std::string                  name;
    small_base                   base;
    moebius::adapter_settings    trained;
    moebius::router_loss_factors factors;
    std::vector<int64_t>         lengths;  // of the batch's sequences
};

// Every architecture, quantised bases, whole routers and norms, mixtures of LoRA experts.
const std::vector<reference_case> & reference_cases();

// No number of it is 0: `b` neither.
moebius::adapter     reference_adapter(const reference_case & of, const moebius::gguf_model & base);
moebius::token_batch reference_batch(const reference_case & of);

// GGUF: the parameters' values as F32 tensors; `lora.base`, `.rank`, `.alpha` and `.is_rank_stabilised`, lists of the same length; `tokens`, `lengths`, `rows`, `labels`, `weights` of the
// batch; `factor.balance` and `factor.z`; of a mixture `mixture.expert_count` and `.expert_used_count`. The same bytes everywhere.
void write_reference_case(const reference_case & of, const moebius::adapter & trained, const std::string & path);

}  // namespace moebius_test
