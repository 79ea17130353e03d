// Which tokens of an expert go to which of its copies. Pure.
//
// token-split and layer-schedule say how many tokens of an expert a device computes; any tokens will do as far as time goes. A device is sent the hidden state of every token that
// it computes an expert of, once for all of them, and sends one sum back: so a token's experts should be computed by few devices.
#pragma once

#include "token-split.h"

namespace moebius {

// Assignments of a batch's tokens to experts in one layer: [tokens][used], packed; below 0: none.
struct token_routes {
    const std::vector<int32_t> & experts;
    uint32_t                     used = 0;

    uint32_t tokens() const { return used > 0 ? uint32_t(experts.size() / used) : 0; }
};

// The device of each assignment [tokens][used], as `shares` has them: those of an expert add up to its tokens. Devices may be any numbers below 32, also of what is no device
// (the CPU). links: [devices], what it costs to send a token there, as layer_rig has them, and 0 where nothing is sent; empty: all the same. What is settled (an expert with one share)
// draws the rest: expert by expert, its tokens go to devices that they go to anyway, while there are shares of these, those behind slow links before others; then once more with what
// came of it. Never more cost than in the order of the shares.
std::vector<uint32_t> assign_tokens(const token_routes & routes, const std::vector<token_share> & shares, const std::vector<double> & links = {});

// The same without regard to the tokens: in their order, the first ones to the last share.
std::vector<uint32_t> assign_in_order(const token_routes & routes, const std::vector<token_share> & shares);

// The devices [tokens] that each token is sent to.
std::vector<device_set> devices_of_tokens(const token_routes & routes, const std::vector<uint32_t> & devices);

}  // namespace moebius
