using Google.Protobuf;
using Millrace.Coordination.Grpc;
using Millrace.Coordination.Machine;
using Millrace.Coordination.Node;
using Millrace.Coordination.Store;
using Millrace.Coordination.Wire;

namespace Millrace.Coordination.Etcd;

/// <summary>etcdserverpb.KV.</summary>
internal sealed class KvService(Replica replica, Callers callers)
{
    private const int StreamPieceBytes = 1 << 20;

    public void Register(GrpcServer server)
    {
        server.Unary("/etcdserverpb.KV/Range", RangeRequest.Parser, RangeAsync, isQuick: true);
        server.Streaming("/etcdserverpb.KV/RangeStream", RangeStreamAsync);
        server.Unary("/etcdserverpb.KV/Put", PutRequest.Parser, PutAsync, isQuick: true);
        server.Unary("/etcdserverpb.KV/DeleteRange", DeleteRangeRequest.Parser, DeleteRangeAsync, isQuick: true);
        server.Unary("/etcdserverpb.KV/Txn", TxnRequest.Parser, TxnAsync, isQuick: true);
        server.Unary("/etcdserverpb.KV/Compact", CompactionRequest.Parser, CompactAsync);
    }

    public async ValueTask<RangeResponse> RangeAsync(GrpcCall call, RangeRequest request)
    {
        RequestChecks.Check(request);
        var user = callers.UserOf(call);
        // Many keys may take long, which no thread should that others wait for.
        var isLight = request.RangeEnd.IsEmpty;
        if (!request.Serializable)
            await replica.WaitForReadAsync(ModeOf(call), isLight).ConfigureAwait(false);
        else if (!isLight)
            await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        return Range(request, user);
    }

    /// <summary>The same in pieces, for answers that one message should not hold; the last piece has header, count and whether there is more.</summary>
    private async Task RangeStreamAsync(GrpcCall call)
    {
        var request = await call.ReadAsync(RangeRequest.Parser).ConfigureAwait(false)
            ?? throw new GrpcException(GrpcCodes.Unknown, "EOF");
        if (request.SortOrder != RangeRequest.Types.SortOrder.None || request.SortTarget != RangeRequest.Types.SortTarget.Key)
            throw new GrpcException(GrpcCodes.Unimplemented, "RangeStream does not support custom sort orders");
        var whole = await RangeAsync(call, request).ConfigureAwait(false);
        var piece = new RangeResponse();
        long bytes = 0;
        foreach (var version in whole.Kvs)
        {
            piece.Kvs.Add(version);
            bytes += version.Key.Length + version.Value.Length + 64;
            if (bytes < StreamPieceBytes)
                continue;
            call.Write(new RangeStreamResponse { RangeResponse = piece });
            await call.FlushAsync().ConfigureAwait(false);
            piece = new RangeResponse();
            bytes = 0;
        }
        piece.Header = whole.Header;
        piece.More = whole.More;
        piece.Count = whole.Count;
        call.Write(new RangeStreamResponse { RangeResponse = piece });
    }

    public async ValueTask<PutResponse> PutAsync(GrpcCall call, PutRequest request)
    {
        RequestChecks.Check(request);
        return (PutResponse)await ProposeAsync(call, CommandKind.Put, request).ConfigureAwait(false);
    }

    public async ValueTask<DeleteRangeResponse> DeleteRangeAsync(GrpcCall call, DeleteRangeRequest request)
    {
        RequestChecks.Check(request);
        return (DeleteRangeResponse)await ProposeAsync(call, CommandKind.DeleteRange, request).ConfigureAwait(false);
    }

    public async ValueTask<TxnResponse> TxnAsync(GrpcCall call, TxnRequest request)
    {
        RequestChecks.Check(request, replica.Options.MaxTxnOps);
        if (IsReadOnly(request, out var isSerializable))
        {
            // Nothing to replicate: as good as a range, at the same revision for all of it.
            var user = callers.UserOf(call);
            if (!isSerializable)
                await replica.WaitForReadAsync().ConfigureAwait(false);
            else
                await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
            var response = replica.Read(machine =>
            {
                RequireRead(machine, user, request);
                var result = Transactions.Run(machine.Store, request);
                ResponseHeaders.SetRevision(result, machine.Store.Revision);
                return result;
            });
            return response.From(replica.Header(0));
        }
        return (TxnResponse)await ProposeAsync(call, CommandKind.Txn, request).ConfigureAwait(false);
    }

    public async ValueTask<CompactionResponse> CompactAsync(GrpcCall call, CompactionRequest request) =>
        (CompactionResponse)await ProposeAsync(call, CommandKind.Compact, request).ConfigureAwait(false);

    private RangeResponse Range(RangeRequest request, string user) => replica.Read(machine =>
    {
        machine.Auth.Require(user, new KeyRange(request.Key, request.RangeEnd), isWrite: false);
        return machine.Store.Range(request);
    }).From(replica.Header(0));

    private async ValueTask<IMessage> ProposeAsync(GrpcCall call, CommandKind kind, IMessage request)
    {
        var response = await replica.ProposeAsync(kind, request, callers.UserOf(call), isLight: true).ConfigureAwait(false);
        return response.From(replica.Header(0));
    }

    /// <summary>A caller may ask for another way than the member's own.</summary>
    private static ReadMode? ModeOf(GrpcCall call) => call.Metadata("millrace-read") switch
    {
        "quorum" => ReadMode.Quorum,
        "leader" => ReadMode.Index,
        _ => null,
    };

    private static bool IsReadOnly(TxnRequest request, out bool isSerializable)
    {
        isSerializable = true;
        foreach (var op in request.Success.Concat(request.Failure))
        {
            if (op.RequestCase != RequestOp.RequestOneofCase.RequestRange)
                return false;
            isSerializable &= op.RequestRange.Serializable;
        }
        // As etcd: serializable only when all its ranges are, and there is one at all.
        isSerializable &= request.Success.Count + request.Failure.Count > 0;
        return true;
    }

    private static void RequireRead(CoordinationMachine machine, string user, TxnRequest request)
    {
        foreach (var compare in request.Compare)
            machine.Auth.Require(user, new KeyRange(compare.Key, compare.RangeEnd), isWrite: false);
        foreach (var op in request.Success.Concat(request.Failure))
            machine.Auth.Require(user, new KeyRange(op.RequestRange.Key, op.RequestRange.RangeEnd), isWrite: false);
    }
}
