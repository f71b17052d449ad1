using Google.Protobuf;
using Millrace.Coordination.Etcd;
using Millrace.Coordination.Grpc;
using Millrace.Coordination.Wire;

namespace Millrace.Coordination.Sessions;

/// <summary>millrace.Sessions: sessions over gRPC, on the port of etcd's API.</summary>
internal sealed class SessionService(SessionMember sessions, Callers callers)
{
    public void Register(GrpcServer server)
    {
        server.Unary("/millrace.Sessions/Put", SessionPutRequest.Parser, PutAsync);
        server.Unary("/millrace.Sessions/Get", SessionGetRequest.Parser, GetAsync);
        server.Unary("/millrace.Sessions/Status", SessionStatusRequest.Parser, StatusAsync);
    }

    private async ValueTask<SessionPutResponse> PutAsync(GrpcCall call, SessionPutRequest request)
    {
        callers.Require(call);
        // Without the type, null would be an empty value.
        var value = request.IsDeletion ? (ReadOnlyMemory<byte>?)null : request.Value.Memory;
        var outcome = await sessions.PutAsync(request.Key, value, request.TtlSeconds, request.Write).ConfigureAwait(false);
        return new SessionPutResponse { Answers = outcome.Answers, Millis = outcome.Version!.Time.Millis };
    }

    private async ValueTask<SessionGetResponse> GetAsync(GrpcCall call, SessionGetRequest request)
    {
        callers.Require(call);
        var outcome = await sessions.GetAsync(request.Key, request.Read).ConfigureAwait(false);
        var response = new SessionGetResponse { Answers = outcome.Answers };
        if (outcome.Version is not { } version)
            return response;
        response.IsFound = true;
        response.Value = ByteString.CopyFrom(version.Value!.Value.Span);
        response.Millis = version.Time.Millis;
        response.ExpiresAtMillis = version.ExpiresAtMillis;
        return response;
    }

    private ValueTask<SessionStatusResponse> StatusAsync(GrpcCall call, SessionStatusRequest request)
    {
        callers.Require(call);
        var status = sessions.Status();
        var response = new SessionStatusResponse
        {
            Copies = status.Quorum.Copies, Write = status.Quorum.Write, Read = status.Quorum.Read, Puts = status.Puts, Gets = status.Gets, Repairs = status.Repairs,
            Handoffs = status.Handoffs, Written = status.Written, Flushes = status.Flushes, Failure = status.Failure ?? "",
        };
        foreach (var waiting in status.Hints)
            response.Hints.Add(new SessionStatusResponse.Types.Waiting { Member = waiting.Member, Count = waiting.Count });
        return ValueTask.FromResult(response);
    }
}
