// Models: sdk/include/kinglet/model.h, the part that is about weights and files.
#include "engine/c_api.h"

using namespace kl;
using namespace kl::c_api;

namespace {

Status load(kl_engine* engine, const ModelSource& source, const kl_model_options* options, kl_model** model) {
  KL_ASSIGN(auto object, find<Engine>(engine));
  LoadProgress progress;
  KL_ASSIGN(const ModelOptions o, read_model_options(options, progress));
  KL_ASSIGN(auto loaded, Model::load(std::move(object), source, o, progress));
  return give(std::move(loaded), model);
}

// What the tokenizer and the template say.
void fill_words(const Model& model, kl_model_info& out) {
  const Vocabulary& vocabulary = *model.vocabulary();
  out.vocabulary = static_cast<uint32_t>(vocabulary.size());
  out.bos = vocabulary.bos().value_or(-1);
  out.eos = vocabulary.eos().value_or(-1);
  out.adds_bos = vocabulary.add_bos() ? 1 : 0;
  out.has_chat_template = model.template_text() ? 1 : 0;
  const auto ends = vocabulary.end_ids();
  out.stop_count = static_cast<uint32_t>(std::min(ends.size(), std::size(out.stop_ids)));
  std::copy_n(ends.begin(), out.stop_count, out.stop_ids);
}

void fill_limits(const RunnerOptions& limits, kl_model_info& out) {
  copy_cut(name(limits.kv), out.kv, sizeof out.kv);
  copy_cut(name(*limits.activations), out.activations, sizeof out.activations);
  out.context = limits.context;
  out.max_sequences = limits.max_sequences;
  out.max_rows = limits.max_rows;
  out.max_logit_rows = limits.max_outputs;
}

}  // namespace

extern "C" {

kl_status kl_model_estimate(kl_engine* engine, const kl_source* source, const kl_model_options* options, kl_memory_estimate* estimate) {
  return guard([&]() -> Status {
    KL_ASSIGN(const auto object, find<Engine>(engine));
    KL_TRY(check_out_struct(estimate, "kl_memory_estimate"));
    KL_ASSIGN(const ModelSource from, read_source(source));
    LoadProgress progress;
    KL_ASSIGN(const ModelOptions o, read_model_options(options, progress));
    KL_ASSIGN(const Model::Estimate both, Model::estimate(*object, from, o));
    const MemoryEstimate &e = both.model, &v = both.encoder;
    kl_memory_estimate out{};
    out.weights = e.weights + v.weights;
    out.weights_mapped = e.weights_mapped + v.weights_mapped;
    out.largest_tensor = std::max(e.largest_tensor, v.largest_tensor);
    out.kv = e.kv;
    out.kv_per_token = e.kv_per_token;
    out.workspace = e.workspace + v.workspace;
    out.total = e.total() + v.total();
    out.encoder = v.total();
    write_struct(out, estimate);
    return {};
  });
}

kl_status kl_model_load(kl_engine* engine, const char* path, const kl_model_options* options, kl_model** model) {
  return guard([&]() -> Status {
    KL_TRY(clear(model, "model"));
    KL_ASSIGN(std::string text, need_text(path, "path"));
    return load(engine, ModelSource{.path = std::move(text), .data = {}}, options, model);
  });
}

kl_status kl_model_load_source(kl_engine* engine, const kl_source* source, const kl_model_options* options, kl_model** model) {
  return guard([&]() -> Status {
    KL_TRY(clear(model, "model"));
    KL_ASSIGN(const ModelSource from, read_source(source));
    return load(engine, from, options, model);
  });
}

kl_status kl_model_destroy(kl_model* model) {
  return guard([&]() -> Status { return take<Model>(model).status(); });
}

kl_status kl_model_get_info(kl_model* model, kl_model_info* info) {
  return guard([&]() -> Status {
    KL_ASSIGN(const auto m, find<Model>(model));
    KL_TRY(check_out_struct(info, "kl_model_info"));
    kl_model_info out{};
    copy_cut(m->architecture, out.architecture, sizeof out.architecture);
    copy_cut(m->name, out.name, sizeof out.name);
    out.trained_context = m->trained_context;
    out.layers = m->layers;
    out.width = m->width;
    out.bos = out.eos = -1;
    if (m->vocabulary()) fill_words(*m, out);
    out.parameters = m->parameters;
    out.tensors = m->file().tensors().size();
    out.file_bytes = m->file().file_bytes();
    if (const auto slot = m->eyes(); slot.ok()) {
      const Placement placed = (*slot)->placement();
      out.memory_bytes = placed.memory;
      if (m->vocabulary()) fill_limits(placed.limits, out);
      if (m->vocabulary()) out.vocabulary = (*slot)->vocabulary_size;
      if (const auto& vision = placed.vision) {
        copy_cut(vision->spec.projector, out.projector, sizeof out.projector);
        out.has_projector = 1;
        out.image_rows = vision->typical_rows;
        out.encoder_bytes = placed.encoder_memory;
      }
    }
    write_struct(out, info);
    return {};
  });
}

kl_status kl_model_metadata(kl_model* model, size_t max_array, char** text, size_t* text_length) {
  return guard([&]() -> Status {
    KL_TRY(clear(text, "text"));
    KL_ASSIGN(const auto m, find<Model>(model));
    return give_text(metadata_json(m->file().metadata(), max_array), text, text_length);
  });
}

kl_status kl_model_tensor(kl_model* model, uint64_t index, kl_tensor_info* info) {
  return guard([&]() -> Status {
    KL_ASSIGN(const auto m, find<Model>(model));
    KL_TRY(check_out_struct(info, "kl_tensor_info"));
    const auto tensors = m->file().tensors();
    if (index >= tensors.size())
      return error(Code::not_found, "there are %zu tensors, number %llu is not among them", tensors.size(),
                   static_cast<unsigned long long>(index));
    const TensorInfo& tensor = tensors[index];
    kl_tensor_info out{};
    out.name = m->tensor_name(index);
    out.format = name(tensor.format);
    out.rank = tensor.rank;
    out.file = tensor.file;
    std::copy(tensor.dims.begin(), tensor.dims.end(), out.dims);
    out.bytes = tensor.bytes;
    out.offset = tensor.offset;
    write_struct(out, info);
    return {};
  });
}

kl_status kl_model_text(kl_model* model, int32_t kind, uint32_t rows, char** text, size_t* text_length) {
  return guard([&]() -> Status {
    KL_TRY(clear(text, "text"));
    KL_ASSIGN(const auto m, find<Model>(model));
    if (kind == KL_TEXT_CHAT_TEMPLATE) {
      if (!m->template_text()) return error(Code::not_found, "%s has no chat template", m->file().name().c_str());
      return give_text(*m->template_text(), text, text_length);
    }
    KL_TRY(ranged("kind", kind, KL_TEXT_PROGRAM, KL_TEXT_CHAT_TEMPLATE).status());
    if (kind == KL_TEXT_PLAN) KL_TRY(ranged("rows", rows, 1, std::max(m->max_rows, 1u)).status());
    std::string found;
    KL_TRY(m->with_runner([&](ModelRunner& runner) -> Status {
      found = kind == KL_TEXT_PROGRAM ? runner.program_text() : kind == KL_TEXT_PLAN ? runner.plan_text(rows) : runner.support_text();
      return {};
    }));
    return give_text(found, text, text_length);
  });
}

kl_status kl_model_cost(kl_model* model, uint32_t rows, uint32_t outputs, uint64_t cached_tokens, uint64_t* bytes, uint64_t* macs) {
  return guard([&]() -> Status {
    KL_ASSIGN(const auto m, find<Model>(model));
    KL_TRY(m->slot().status());
    KL_TRY(ranged("rows", rows, 1, m->max_rows).status());
    KL_TRY(ranged("outputs", outputs, 0, std::min(rows, m->placement().limits.max_outputs)).status());
    ModelRunner::Cost cost;
    KL_TRY(m->with_runner([&](ModelRunner& runner) -> Status {
      cost = runner.cost(rows, outputs, cached_tokens);
      return {};
    }));
    if (bytes) *bytes = cost.bytes;
    if (macs) *macs = cost.macs;
    return {};
  });
}

}  // extern "C"
