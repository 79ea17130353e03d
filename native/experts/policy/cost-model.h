// How long a device takes for experts of a layer, learnt from what it took. Pure.
#pragma once

#include <array>

namespace moebius {

// Seconds: what a batch costs at all, what every expert adds (its weights are read), and what every token of an expert adds.
struct batch_cost {
    double fixed      = 0;
    double per_expert = 0;
    double per_token  = 0;

    double of(double experts, double tokens) const { return experts > 0 ? fixed + experts * per_expert + tokens * per_token : 0; }
};

// Least squares of the relative error, with the past fading and a prior that holds until enough was seen.
class cost_model {
  public:
    explicit cost_model(const batch_cost & prior);

    // `seconds` > 0 were needed for so many experts and, summed over them, tokens.
    void observe(double experts, double tokens, double seconds);

    // As time goes on without an observation: the prior comes back, so that what seemed too slow once is tried again.
    void fade();

    // No part of it is negative.
    batch_cost estimate() const;

  private:
    using vector3 = std::array<double, 3>;
    vector3                solve() const;
    vector3                prior;
    std::array<vector3, 3> products{};  // of the normal equations
    vector3                sums{};
};

}  // namespace moebius
