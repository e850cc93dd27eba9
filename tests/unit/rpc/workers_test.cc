// What takes its time, and who has to wait for whom.
#include <atomic>
#include <thread>

#include "tests/unit/rpc/fixture.h"

namespace postern::rpc {
namespace {

using grpc::StatusCode;

// Closed until it is opened, or for so long.
class Gate {
 public:
  void Open() {
    base::MutexLock lock(mu_);
    open_ = true;
    changed_.notify_all();
  }
  // True when it is open.
  bool Pass(std::chrono::milliseconds most = std::chrono::hours(1)) {
    base::MutexLock lock(mu_);
    const auto until = std::chrono::steady_clock::now() + most;
    while (!open_) {
      if (changed_.wait_until(lock.native(), until) == std::cv_status::timeout) break;
    }
    return open_;
  }

 private:
  base::Mutex mu_;
  std::condition_variable changed_;
  bool open_ ABSL_GUARDED_BY(mu_) = false;
};

using WorkersTest = RpcTest;

TEST_F(WorkersTest, QueriesDoNotKeepOperatorsOut) {
  // The worker outlives this test's locals when an expectation below has failed.
  const auto gate = std::make_shared<Gate>();
  messages.on_list = [gate] { gate->Pass(); };
  Start();
  struct Query {
    std::unique_ptr<grpc::ClientContext> context = Context();
    std::unique_ptr<grpc::ClientAsyncResponseReader<v1::ListMessagesResponse>> call;
    v1::ListMessagesResponse response;
    grpc::Status status;
  };
  grpc::CompletionQueue cq;
  std::vector<Query> queries(Worker::kMaxWaiting + 2);  // one runs, one is too many
  for (Query& query : queries) {
    query.call = delivery_stub->AsyncListMessages(query.context.get(), {}, &cq);
    query.call->Finish(&query.response, &query.status, &query);
  }
  void* tag = nullptr;
  bool ok = false;
  ASSERT_TRUE(cq.Next(&tag, &ok));
  EXPECT_EQ(static_cast<Query*>(tag)->status.error_code(), StatusCode::RESOURCE_EXHAUSTED)
      << "the worker of queries is full";

  v1::SuspendRequest request;
  request.mutable_scope()->set_domain("*");
  request.set_reason("they flood us");
  v1::SuspendResponse response;
  const auto context = Context();
  EXPECT_TRUE(control_stub->Suspend(context.get(), request, &response).ok());
  gate->Open();
  for (std::size_t i = 1; i < queries.size(); ++i) ASSERT_TRUE(cq.Next(&tag, &ok));
}

// Rows that are being moved are in no queue where they could be found.
}  // namespace
}  // namespace postern::rpc
