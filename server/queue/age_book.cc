#include "server/queue/age_book.h"

namespace postern::queue {
namespace {

std::int64_t GrainOf(absl::Time created) {
  absl::Duration rest;
  return absl::IDivDuration(created - absl::UnixEpoch(), AgeBook::kGrain, &rest);
}

}  // namespace

void AgeBook::Add(int slot, absl::Time created) {
  const auto index = static_cast<std::size_t>(slot);
  if (index >= bindings_.size()) bindings_.resize(index + 1);
  ++bindings_[index].grains[GrainOf(created)];
  ++bindings_[index].rows;
}

void AgeBook::Remove(int slot, absl::Time created) {
  const auto index = static_cast<std::size_t>(slot);
  if (index >= bindings_.size()) return;
  Binding& binding = bindings_[index];
  const auto grain = binding.grains.find(GrainOf(created));
  if (grain == binding.grains.end()) return;
  --binding.rows;
  if (--grain->second == 0) binding.grains.erase(grain);
}

const AgeBook::Binding* AgeBook::Find(int slot) const {
  const auto index = static_cast<std::size_t>(slot);
  return index < bindings_.size() ? &bindings_[index] : nullptr;
}

std::uint64_t AgeBook::rows(int slot) const {
  const Binding* binding = Find(slot);
  return binding == nullptr ? 0 : binding->rows;
}

absl::Time AgeBook::oldest(int slot) const {
  const Binding* binding = Find(slot);
  if (binding == nullptr || binding->grains.empty()) return absl::InfiniteFuture();
  return absl::UnixEpoch() + binding->grains.begin()->first * kGrain;
}

}  // namespace postern::queue
