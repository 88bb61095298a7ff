// kinglet inspect: what a model file holds, what it will take, and what will compute it.
#include <algorithm>
#include <map>
#include <optional>

#include "common.h"

namespace tool {
namespace {

struct Inspect {
  Common common;
  bool plan = false;
  bool support = false;
  bool program = false;
  bool tensors = false;
  uint32_t rows = 1;
};

struct FormatTotal {
  uint64_t tensors = 0;
  uint64_t elements = 0;
  uint64_t bytes = 0;
};

struct Estimate {
  uint32_t context;
  std::string kv;
  kl_status status;
  std::string problem;
  kl_memory_estimate memory;
};

std::string mebibytes(uint64_t bytes) { return text("%.1f MiB", static_cast<double>(bytes) / (1 << 20)); }

// Context x KV format; what cannot be estimated says why, so that a file of an unknown architecture can still be looked at.
std::vector<Estimate> estimates(const Common& common, kl_engine* engine, const kl_model_info& info) {
  std::vector<uint32_t> contexts = {512, 4096};
  if (info.trained_context > 0) contexts.push_back(info.trained_context);
  if (common.ctx != 0) contexts = {common.ctx};
  std::sort(contexts.begin(), contexts.end());
  contexts.erase(std::unique(contexts.begin(), contexts.end()), contexts.end());
  if (common.ctx == 0 && info.trained_context > 0) {
    std::erase_if(contexts, [&](uint32_t context) { return context > info.trained_context; });
  }
  const std::vector<std::string> formats = common.kv.empty() ? std::vector<std::string>{"f16", "q8", "q4"} : common.kv;
  auto source = sized<kl_source>();
  source.path = common.model.c_str();
  std::vector<Estimate> result;
  for (const uint32_t context : contexts) {
    for (const std::string& kv : formats) {
      Estimate estimate = {context, kv, KL_OK, {}, sized<kl_memory_estimate>()};
      kl_model_options options = model_options(common, kv);
      options.context = context;
      estimate.status = kl_model_estimate(engine, &source, &options, &estimate.memory);
      if (estimate.status != KL_OK) estimate.problem = kl_last_error();
      result.push_back(std::move(estimate));
    }
  }
  return result;
}

// The vision encoder's file beside the model.
struct Projector {
  kl_model_info info;
  Json metadata;
  uint64_t memory;  // weights, workspace
};

Json metadata_of(kl_model* model) {
  char* metadata = nullptr;
  size_t length = 0;
  check(kl_model_metadata(model, 16, &metadata, &length));
  return Json::parse(taken(metadata, length));
}

std::optional<Projector> look_at_projector(Common common, kl_engine* engine) {
  if (common.projector.empty()) return std::nullopt;
  common.model = std::exchange(common.projector, {});
  const Model file = load_vocabulary(common, engine);
  Projector projector = {sized<kl_model_info>(), metadata_of(file), 0};
  check(kl_model_get_info(file, &projector.info));
  auto source = sized<kl_source>();
  source.path = common.model.c_str();
  const kl_model_options options = model_options(common, common.kv_or_default());
  auto memory = sized<kl_memory_estimate>();
  check(kl_model_estimate(engine, &source, &options, &memory));
  projector.memory = memory.encoder;
  return projector;
}

std::string shape(const kl_tensor_info& tensor) {
  std::string result;
  for (uint32_t i = 0; i < tensor.rank; ++i) result += (i == 0 ? "" : " x ") + std::to_string(tensor.dims[i]);
  return result;
}

// Values of the metadata object, one line each; long texts are cut.
std::string metadata_lines(const Json& metadata) {
  std::string lines;
  for (const auto& [key, value] : metadata.items()) {
    std::string shown =
        value.is_object() && value.contains("array")
            ? text("%llu x %s", static_cast<unsigned long long>(value.value("length", uint64_t{0})), value.value("array", "").c_str())
            : value.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (shown.size() > 100) {
      size_t cut = 97;
      while (cut > 0 && (static_cast<unsigned char>(shown[cut]) & 0xC0U) == 0x80U) --cut;
      shown = shown.substr(0, cut) + "...";
    }
    lines += text("  %-44s %s\n", key.c_str(), shown.c_str());
  }
  return lines;
}

void run(const Inspect& options) {
  options.common.need_model();
  const Engine engine = open_engine(options.common, options.common.threads_or_default());
  const std::optional<Projector> projector = look_at_projector(options.common, engine);
  const bool needs_weights = options.plan || options.support || options.program;
  const Model model = needs_weights ? load_model(options.common, engine, model_options(options.common, options.common.kv_or_default()))
                                    : load_vocabulary(options.common, engine);
  auto info = sized<kl_model_info>();
  check(kl_model_get_info(model, &info));

  const Json metadata = metadata_of(model);

  std::map<std::string, FormatTotal> formats;
  Json tensors = Json::array();
  std::string tensor_lines;
  for (uint64_t index = 0; index < info.tensors; ++index) {
    auto tensor = sized<kl_tensor_info>();
    check(kl_model_tensor(model, index, &tensor));
    FormatTotal& total = formats[tensor.format];
    total.tensors += 1;
    total.elements += tensor.dims[0] * tensor.dims[1] * tensor.dims[2] * tensor.dims[3];
    total.bytes += tensor.bytes;
    if (options.common.json) {
      tensors.push_back({{"name", tensor.name},
                         {"format", tensor.format},
                         {"dims", std::vector<uint64_t>(tensor.dims, tensor.dims + tensor.rank)},
                         {"bytes", tensor.bytes},
                         {"offset", tensor.offset},
                         {"file", tensor.file}});
    } else if (options.tensors) {
      tensor_lines += text("  %-40s %-8s %-24s %llu bytes\n", tensor.name, tensor.format, shape(tensor).c_str(),
                           static_cast<unsigned long long>(tensor.bytes));
    }
  }
  const std::vector<Estimate> memory = estimates(options.common, engine, info);
  const std::string program = options.program ? model_text(model, KL_TEXT_PROGRAM) : std::string();
  const std::string plan = options.plan ? model_text(model, KL_TEXT_PLAN, options.rows) : std::string();
  const std::string support = options.support ? model_text(model, KL_TEXT_SUPPORT) : std::string();

  if (options.common.json) {
    Json format_rows = Json::array();
    for (const auto& [format, total] : formats) {
      format_rows.push_back({{"format", format}, {"tensors", total.tensors}, {"elements", total.elements}, {"bytes", total.bytes}});
    }
    Json memory_rows = Json::array();
    for (const Estimate& row : memory) {
      Json entry = {{"ctx", row.context}, {"kv", row.kv}};
      if (row.status != KL_OK) {
        entry["error"] = row.problem;
      } else {
        entry.update({{"weights", row.memory.weights},
                      {"weights_mapped", row.memory.weights_mapped},
                      {"largest_tensor", row.memory.largest_tensor},
                      {"kv_bytes", row.memory.kv},
                      {"kv_per_token", row.memory.kv_per_token},
                      {"workspace", row.memory.workspace},
                      {"total", row.memory.total}});
      }
      memory_rows.push_back(std::move(entry));
    }
    Json result = {{"model", options.common.model},
                   {"architecture", info.architecture},
                   {"name", info.name},
                   {"parameters", info.parameters},
                   {"vocabulary", info.vocabulary},
                   {"trained_context", info.trained_context},
                   {"layers", info.layers},
                   {"width", info.width},
                   {"file_bytes", info.file_bytes},
                   {"metadata", metadata},
                   {"formats", format_rows},
                   {"tensors", tensors},
                   {"memory", memory_rows}};
    if (projector) {
      result["projector"] = {{"file", options.common.projector},
                             {"parameters", projector->info.parameters},
                             {"file_bytes", projector->info.file_bytes},
                             {"memory", projector->memory},
                             {"metadata", projector->metadata}};
    }
    if (options.program) result["program"] = program;
    if (options.plan) result["plan"] = plan;
    if (options.support) result["support"] = support;
    print_json(result);
    return;
  }

  print(text("%s: %s, %s, %.1f M parameters, %s\n", options.common.model.c_str(), info.architecture,
             info.name[0] != '\0' ? info.name : "without a name", static_cast<double>(info.parameters) / 1e6,
             mebibytes(info.file_bytes).c_str()));
  print("\nmetadata\n" + metadata_lines(metadata));
  print(text("\ntensors by format\n  %-8s %8s %16s %12s\n", "format", "tensors", "elements", "size"));
  for (const auto& [format, total] : formats) {
    print(text("  %-8s %8llu %16llu %12s\n", format.c_str(), static_cast<unsigned long long>(total.tensors),
               static_cast<unsigned long long>(total.elements), mebibytes(total.bytes).c_str()));
  }
  if (options.tensors) print("\ntensors\n" + tensor_lines);
  print(text("\nmemory\n  %8s %4s %12s %12s %12s %14s %12s\n", "context", "kv", "weights", "cache", "workspace", "cache/token", "total"));
  for (const Estimate& row : memory) {
    if (row.status != KL_OK) {
      print(text("  %8u %4s %s\n", row.context, row.kv.c_str(), row.problem.c_str()));
    } else {
      print(text("  %8u %4s %12s %12s %12s %10llu B %14s\n", row.context, row.kv.c_str(), mebibytes(row.memory.weights).c_str(),
                 mebibytes(row.memory.kv).c_str(), mebibytes(row.memory.workspace).c_str(),
                 static_cast<unsigned long long>(row.memory.kv_per_token), mebibytes(row.memory.total).c_str()));
    }
  }
  if (projector) {
    print(text("\nprojector %s: %.1f M parameters, %s, takes %s of the totals above\n", options.common.projector.c_str(),
               static_cast<double>(projector->info.parameters) / 1e6, mebibytes(projector->info.file_bytes).c_str(),
               mebibytes(projector->memory).c_str()));
    print(metadata_lines(projector->metadata));
  }
  if (options.program) print("\nprogram\n" + program);
  if (options.plan) print(text("\nplan for a step of %u rows\n", options.rows) + plan);
  if (options.support) print("\nsupport\n" + support);
}

}  // namespace

void add_inspect(CLI::App& app) {
  auto options = std::make_shared<Inspect>();
  CLI::App* command = app.add_subcommand("inspect", "what a model file holds, takes and runs on");
  options->common.add_to(*command);
  command->add_option("--projector", options->common.projector, "companion file with the vision encoder: shown too");
  command->add_flag("--tensors", options->tensors, "every tensor");
  command->add_flag("--program", options->program, "the model as described, op by op");
  command->add_flag("--plan", options->plan, "kernels, memory and barriers of a step of --rows rows");
  command->add_flag("--support", options->support, "the kernel chosen for each op, and why the better ones were not");
  command->add_option("--rows", options->rows, "for --plan (default 1)")->check(CLI::Range(1U, 512U));
  command->callback([options] { run(*options); });
}

}  // namespace tool
