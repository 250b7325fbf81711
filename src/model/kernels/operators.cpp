// Counts the operators that ATen is asked for on this thread: what a step of training would launch
// on a device.

#include "shim.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace {

struct Count {
  std::map<std::string, int64_t> works;
  int64_t calls = 0;
  // Calls in progress, and the outermost of them that counts (0: none does).
  int64_t depth = 0, counted_at = 0;
  at::CallbackHandle handle = 0;
};

thread_local std::unique_ptr<Count> count;
thread_local std::string report;

// What only names memory, or gets some, launches nothing: views (arguments that are aliased, but
// not written) and allocations.
bool is_memory(const c10::FunctionSchema& schema) {
  for (const char* name :
       {"aten::empty", "aten::resize_", "aten::as_strided_", "aten::_unsafe_view"})
    if (schema.name().rfind(name, 0) == 0) return true;
  const auto aliases = [](const c10::Argument& a) {
    return a.alias_info() && !a.alias_info()->isWrite();
  };
  return std::any_of(schema.arguments().begin(), schema.arguments().end(), aliases);
}

// Whether the operator is the same on every device: only made of others, which are counted.
bool is_made_of_others(const c10::OperatorName& name) {
  const auto op = c10::Dispatcher::singleton().findOp(name);
  return !op || op->hasKernelForDispatchKey(c10::DispatchKey::CompositeImplicitAutograd);
}

std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction& f) {
  if (!count) return nullptr;
  count->calls++;
  count->depth++;
  const auto schema = f.operator_schema();
  const auto name = f.operator_name();
  if (count->counted_at == 0 && schema && name && !is_memory(*schema) &&
      !is_made_of_others(*name)) {
    count->counted_at = count->depth;
    count->works[f.name()]++;
  }
  return nullptr;
}

void end(const at::RecordFunction&, at::ObserverContext*) {
  if (!count) return;
  if (count->counted_at == count->depth) count->counted_at = 0;
  count->depth--;
}

}  // namespace

void earlybird_count_operators() {
  count = std::make_unique<Count>();
  count->handle = at::addThreadLocalCallback(
      at::RecordFunctionCallback(begin, end).scopes({at::RecordScope::FUNCTION}));
}

const char* earlybird_counted_operators() {
  report.clear();
  if (!count) return report.c_str();
  at::removeCallback(count->handle);
  report = std::to_string(count->calls);
  for (const auto& [name, times] : count->works)
    report += "\n" + name + " " + std::to_string(times);
  count.reset();
  return report.c_str();
}
