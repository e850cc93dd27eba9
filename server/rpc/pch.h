// Precompiled for this room: the headers of gRPC and of the contract take seconds each.
#pragma once

#include <grpcpp/grpcpp.h>

#include "postern/v1/control.grpc.pb.h"
#include "postern/v1/delivery.grpc.pb.h"
#include "postern/v1/hooks.grpc.pb.h"
