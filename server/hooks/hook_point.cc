#include "server/hooks/hook_point.h"

#include <algorithm>
#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <system_error>
#include <utility>

#include "hooks/core/post_initiate_connection_smtp.h"
#include "hooks/core/smtp_should_session_shutdown.h"
#include "server/base/check.h"
#include "server/base/mutex.h"
#include "server/hooks/registry.h"

namespace postern::hooks {
namespace {

// The bound of policy.timeout: no question keeps a session longer, whatever deadline it names.
constexpr absl::Duration kLongestWait = absl::Seconds(5);

// The coroutine's wait, which another thread may end. The bridge keeps a share of it for as long as
// it likes: once the coroutine is gone there is no executor in it and a wake-up does nothing.
struct Wakeup {
  base::Mutex mu;
  asio::any_io_executor executor ABSL_GUARDED_BY(mu);  // empty: nobody waits any more

  // Only on the executor.
  asio::steady_timer* timer = nullptr;  // null: nobody waits any more
  bool woken = false;
};

void Wake(const std::shared_ptr<Wakeup>& wakeup) {
  const base::MutexLock lock(wakeup->mu);
  if (!wakeup->executor) return;
  // Posted, so that it comes after the wait has begun even if the answer was here before it.
  asio::post(wakeup->executor, [wakeup] {
    wakeup->woken = true;
    if (wakeup->timer != nullptr) wakeup->timer->cancel();
  });
}

// One question and the wait for its answer, on the coroutine's frame. Settles what is still open
// when the frame goes, so that the source's books balance even for a session that was cut.
class Question {
 public:
  Question(const asio::any_io_executor& executor, VerdictSource& source,
           DeliveryConstruct& construct)
      : source_(source),
        construct_(construct),
        timer_(executor),
        wakeup_(std::make_shared<Wakeup>()) {
    wakeup_->timer = &timer_;
    const base::MutexLock lock(wakeup_->mu);
    wakeup_->executor = executor;
  }
  Question(const Question&) = delete;
  Question& operator=(const Question&) = delete;
  ~Question() {
    if (asked_) {
      Settle();
      ShutdownVerdict cut;
      cut.result_ignored = true;
      Conclude(cut);
    }
    wakeup_->timer = nullptr;
    const base::MutexLock lock(wakeup_->mu);
    wakeup_->executor = {};
  }

  void Ask(bool wait_allowed) {
    asked_ = true;
    current_ = source_.Ask(construct_, wait_allowed, [wakeup = wakeup_] { Wake(wakeup); });
  }

  // Sets the timer; false when there is nothing to wait for.
  bool StartWait(absl::Time now) {
    const absl::Duration left = std::min(current_.deadline - now, kLongestWait);
    if (current_.settled || wakeup_->woken || left <= absl::ZeroDuration()) return false;
    timer_.expires_after(absl::ToChronoNanoseconds(left));
    return true;
  }
  asio::steady_timer& timer() { return timer_; }

  // Its deadline has come: some may have more time.
  void Renew() { current_.deadline = source_.DeadlineOf(current_.question, construct_); }

  // Once for a question that was not settled by Ask(); later calls do nothing.
  void Settle() {
    if (std::exchange(current_.settled, true)) return;
    source_.Settle(current_.question, construct_);
  }

  void Conclude(const ShutdownVerdict& verdict) {
    asked_ = false;
    source_.OnVerdict(construct_, verdict);
  }

 private:
  VerdictSource& source_;
  DeliveryConstruct& construct_;
  asio::steady_timer timer_;
  const std::shared_ptr<Wakeup> wakeup_;
  VerdictSource::Asked current_;
  bool asked_ = false;  // and not concluded yet
};

ShutdownVerdict CallChain(DeliveryConstruct& construct, bool session_over) {
  ShutdownVerdict verdict;
  if (call_core_smtp_should_session_shutdown_hook(&construct) != 0) {
    const Provider* decider = DecidingProvider();
    POSTERN_CHECK(decider != nullptr);
    if (decider->kind == ProviderKind::kBridge) {
      if (construct.remote.has_value()) verdict = *construct.remote;
      verdict.cause = mail::CloseCause::kRemotePolicy;
      if (verdict.provider.empty()) verdict.provider = decider->name;
    } else {
      verdict.cause = mail::CloseCause::kHook;
      verdict.provider = decider->name;
      verdict.hold = construct.hold;
      verdict.avoid_host = construct.avoid_host;
    }
    verdict.shutdown = true;
  }
  verdict.result_ignored = session_over;
  return verdict;
}

}  // namespace

HookPoint::HookPoint(const base::Clock& clock, VerdictSource* source, SessionObserver* observer)
    : clock_(clock), source_(source), observer_(observer) {}

void HookPoint::PostInitiateConnection(DomainRecord& domain, int binding_slot, int conn_fd) {
  if (has_core_post_initiate_connection_smtp_hook() == 0) return;
  timeval now = absl::ToTimeval(clock_.Now());
  call_core_post_initiate_connection_smtp_hook(&domain, binding_slot, &now, conn_fd);
}

bool HookPoint::has_should_session_shutdown() const {
  return has_core_smtp_should_session_shutdown_hook() != 0;
}

asio::awaitable<ShutdownVerdict> HookPoint::AskShouldSessionShutdown(DeliveryConstruct& construct,
                                                                     bool session_over,
                                                                     VerdictWait* wait) {
  ShutdownVerdict verdict;
  verdict.result_ignored = session_over;
  // Without a provider no answer could be read, so none is asked for.
  if (!has_should_session_shutdown()) co_return verdict;
  if (source_ == nullptr) {
    verdict = CallChain(construct, session_over);
    co_return verdict;
  }

  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  Question question(executor, *source_, construct);
  question.Ask(/*wait_allowed=*/!session_over);
  for (bool waits = !session_over; waits && question.StartWait(clock_.Steady());) {
    std::error_code cancelled_by_wake;
    auto token = asio::redirect_error(asio::use_awaitable, cancelled_by_wake);
    if (wait != nullptr) wait->timer_ = &question.timer();
    co_await question.timer().async_wait(token);
    const bool ended = wait != nullptr && std::exchange(wait->ended_, false);
    if (wait != nullptr) wait->timer_ = nullptr;
    waits = !cancelled_by_wake && !ended;
    if (waits) question.Renew();
  }
  question.Settle();
  verdict = CallChain(construct, session_over);
  question.Conclude(verdict);
  co_return verdict;
}

}  // namespace postern::hooks
