#include "graph-match.h"

#include <algorithm>

namespace moebius {

namespace {

constexpr int adds_most = 256;  // of one chain: experts per token

bool is_view(const ggml_tensor * node) {
    return node->op == GGML_OP_VIEW || node->op == GGML_OP_RESHAPE || node->op == GGML_OP_NONE;
}

const ggml_tensor * behind_views(const ggml_tensor * node) {
    while (node && is_view(node) && node->view_src) {
        node = node->view_src;
    }
    return node;
}

// MUL_MAT_ID with an expert tensor, else null.
expert_tensor * matrix_of(const ggml_tensor * node) {
    return node && node->op == GGML_OP_MUL_MAT_ID ? expert_tensor_of(node->src[0]) : nullptr;
}

expert_matrix kind_of(const expert_tensor & tensor) {
    return tensor.source->layout().layers[tensor.layer].parts[tensor.part].matrix;
}

bool is_plain_f32(const ggml_tensor * tensor) {
    return tensor->type == GGML_TYPE_F32 && tensor->nb[0] == sizeof(float);
}

class matcher {
  public:
    explicit matcher(ggml_cgraph * graph) : graph(graph), count(ggml_graph_n_nodes(graph)) {}

    std::vector<moe_ffn_nodes> find() {
        std::vector<moe_ffn_nodes> found;
        for (int i = 0; i < count; i++) {
            moe_ffn_nodes nodes;
            if (match(i, nodes)) {
                found.push_back(nodes);
                i = nodes.last;
            }
        }
        return found;
    }

  private:
    ggml_tensor * node(int i) const { return ggml_graph_node(graph, i); }

    // The FFN whose `down` is node i.
    bool match(int i, moe_ffn_nodes & nodes) {
        const ggml_tensor * down = node(i);
        expert_tensor *     part = matrix_of(down);
        if (!part || kind_of(*part) != expert_matrix::down) {
            return false;
        }
        members = { down };
        nodes.down = part;
        nodes.ids  = down->src[2];
        if (!match_hidden(down->src[1], nodes) || !match_sum(i, nodes)) {
            return false;
        }
        nodes.first = i;
        while (nodes.first > 0 && is_member(node(nodes.first - 1))) {
            nodes.first--;
        }
        return is_closed(nodes);
    }

    bool match_matrix(const ggml_tensor * from, expert_matrix kind, moe_ffn_nodes & nodes) {
        const expert_tensor * part = matrix_of(from);
        if (!part || part->source != nodes.down->source || part->layer != nodes.down->layer || kind_of(*part) != kind ||
            from->src[2] != nodes.ids || (nodes.input && from->src[1] != nodes.input)) {
            return false;
        }
        nodes.input = from->src[1];
        members.push_back(from);
        return true;
    }

    // swiglu of two matrices, or of the halves of one
    bool match_hidden(const ggml_tensor * glu, moe_ffn_nodes & nodes) {
        if (glu->op != GGML_OP_GLU || ggml_get_glu_op(glu) != GGML_GLU_OP_SWIGLU || !glu->src[1] || glu->op_params[1] != 0 /* swapped */) {
            return false;
        }
        members.push_back(glu);
        const ggml_tensor * gate = behind_views(glu->src[0]);
        const ggml_tensor * up   = behind_views(glu->src[1]);
        if (gate == up) {
            return glu->src[0]->view_offs < glu->src[1]->view_offs && match_matrix(gate, expert_matrix::gate_up, nodes) && input_fits(nodes);
        }
        return gate == glu->src[0] && up == glu->src[1] && match_matrix(gate, expert_matrix::gate, nodes) &&
               match_matrix(up, expert_matrix::up, nodes) && input_fits(nodes);
    }

    static bool input_fits(const moe_ffn_nodes & nodes) {
        return is_plain_f32(nodes.input) && nodes.input->ne[1] == 1 && nodes.input->ne[3] == 1 && nodes.ids->type == GGML_TYPE_I32 &&
               nodes.ids->nb[0] == sizeof(int32_t) && nodes.ids->ne[1] == nodes.input->ne[2];
    }

    // weighting and sum: MUL, then ADDs of its views in order, or a CONT of the only one
    bool match_sum(int down, moe_ffn_nodes & nodes) {
        int                 at       = down + 1;
        const ggml_tensor * weighted = at < count ? node(at) : nullptr;
        if (!weighted || weighted->op != GGML_OP_MUL || weighted->src[0] != node(down)) {
            return false;
        }
        nodes.weights = weighted->src[1];
        const int64_t used = nodes.ids->ne[0], tokens = nodes.ids->ne[1];
        if (!is_plain_f32(nodes.weights) || nodes.weights->ne[0] != 1 || nodes.weights->ne[1] != used || nodes.weights->ne[2] != tokens) {
            return false;
        }
        members.push_back(weighted);
        const auto is_slice = [&](const ggml_tensor * view, int64_t k) {
            return view->view_src == weighted && view->view_offs == size_t(k) * weighted->nb[1] && view->ne[0] == weighted->ne[0] && view->ne[1] == tokens;
        };
        int64_t             summed = 0;
        const ggml_tensor * sum    = nullptr;
        for (at++; at < count && summed < used; at++) {
            ggml_tensor * next = node(at);
            members.push_back(next);
            if (is_view(next)) {
                continue;
            }
            const bool first = summed == 0 && next->op == GGML_OP_ADD && is_slice(next->src[0], 0) && is_slice(next->src[1], 1);
            const bool later = summed > 0 && next->op == GGML_OP_ADD && next->src[0] == sum && is_slice(next->src[1], summed);
            const bool only  = used == 1 && next->op == GGML_OP_CONT && is_slice(next->src[0], 0);
            if (!first && !later && !only) {
                return false;
            }
            summed += first ? 2 : 1;
            sum          = next;
            nodes.output = next;
            nodes.last   = at;
        }
        return summed == used && is_plain_f32(nodes.output);
    }

    bool is_member(const ggml_tensor * tensor) const {
        return std::find(members.begin(), members.end(), tensor) != members.end() ||
               (is_view(tensor) && tensor->view_src && std::find(members.begin(), members.end(), behind_views(tensor)) != members.end());
    }

    // Everything of it lies between first and last, and nobody else reads what is in between.
    bool is_closed(const moe_ffn_nodes & nodes) const {
        int inside = 0;
        for (int i = nodes.first; i <= nodes.last; i++) {
            inside += std::find(members.begin(), members.end(), node(i)) != members.end() ? 1 : 0;
            if (i != nodes.last && (node(i)->flags & GGML_TENSOR_FLAG_OUTPUT)) {
                return false;
            }
        }
        if (inside != int(members.size())) {
            return false;
        }
        for (int i = nodes.last + 1; i < count; i++) {
            for (const ggml_tensor * source : node(i)->src) {
                if (source && source != nodes.output && behind_views(source) != nodes.output && is_member(source)) {
                    return false;
                }
            }
        }
        return true;
    }

    ggml_cgraph *                    graph;
    int                              count;
    std::vector<const ggml_tensor *> members;
};

}  // namespace

std::vector<moe_ffn_nodes> find_moe_ffns(ggml_cgraph * graph) {
    return matcher(graph).find();
}

namespace {

// Of a MUL_MAT_ID: [n_out, used, tokens].
bool takes(const ggml_tensor * product) {
    const expert_tensor * loaded = expert_tensor_of(product->src[0]);
    return is_stored_expert_tensor(product->src[0]) || (loaded && !loaded->is_adapted && product->ne[2] <= loaded->tokens_most);
}

}  // namespace

bool uses_experts(const ggml_tensor * node) {
    for (int depth = 0; node && depth < adds_most; depth++) {
        switch (node->op) {
            case GGML_OP_NONE:
                return is_stored_expert_tensor(node);  // the scheduler asks for the weights themselves too
            case GGML_OP_MUL_MAT_ID:
                return takes(node);
            case GGML_OP_GLU:
            case GGML_OP_ADD:
                if (!node->src[1] || !uses_experts(node->src[1])) {
                    return false;
                }
                node = node->src[0];
                break;
            case GGML_OP_MUL:
            case GGML_OP_CONT:
                node = node->src[0];
                break;
            case GGML_OP_VIEW:
            case GGML_OP_RESHAPE:
                node = node->view_src;
                break;
            default:
                return false;
        }
    }
    return false;
}

}  // namespace moebius
