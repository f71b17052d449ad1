using System.Security.Cryptography;
using Google.Protobuf;
using Millrace.Coordination.Grpc;
using Millrace.Coordination.Machine;
using Millrace.Coordination.Node;
using Millrace.Coordination.Store;
using Millrace.Coordination.Wire;
using Millrace.Raft;

namespace Millrace.Coordination.Etcd;

/// <summary>etcdserverpb.Maintenance and grpc.health.v1.Health.</summary>
internal sealed class MaintenanceService(Replica replica, Callers callers)
{
    /// <summary>The version of etcd whose API this is; clients look at it.</summary>
    public const string ApiVersion = "3.7.0";
    private const int SnapshotPieceBytes = 32 << 10;

    /// <summary>What a store without a key says that it takes: etcdctl 3.7 divides by it. etcd's own file then has 20 KiB.</summary>
    private const long EmptyBytes = 20 << 10;
    private int _snapshots;

    public void Register(GrpcServer server)
    {
        server.Unary("/etcdserverpb.Maintenance/Status", StatusRequest.Parser, StatusAsync);
        server.Unary("/etcdserverpb.Maintenance/Alarm", AlarmRequest.Parser, AlarmAsync);
        server.Unary("/etcdserverpb.Maintenance/Defragment", DefragmentRequest.Parser, DefragmentAsync);
        server.Unary("/etcdserverpb.Maintenance/Downgrade", DowngradeRequest.Parser, DowngradeAsync);
        server.Unary("/etcdserverpb.Maintenance/Hash", HashRequest.Parser, HashAsync);
        server.Unary("/etcdserverpb.Maintenance/HashKV", HashKVRequest.Parser, HashKvAsync);
        server.Unary("/etcdserverpb.Maintenance/MoveLeader", MoveLeaderRequest.Parser, MoveLeaderAsync);
        server.Streaming("/etcdserverpb.Maintenance/Snapshot", SnapshotAsync);
        server.Unary("/millrace.Members/Process", ProcessQuestion.Parser, LookAsync);
        server.Unary("/grpc.health.v1.Health/Check", HealthCheckRequest.Parser, CheckAsync);
    }

    public async ValueTask<AlarmResponse> AlarmAsync(GrpcCall call, AlarmRequest request)
    {
        // Looking needs no rights, as with etcd, whose health checks look.
        if (request.Action != AlarmRequest.Types.AlarmAction.Get)
        {
            callers.RequireAdmin(call);
            var done = await replica.ProposeAsync(CommandKind.Alarm, request, callers.UserOf(call)).ConfigureAwait(false);
            return ((AlarmResponse)done).From(replica.Header(0));
        }
        await replica.WaitForReadAsync().ConfigureAwait(false);
        return replica.Read(machine =>
        {
            var response = new AlarmResponse { Header = replica.Header(machine.Store.Revision) };
            response.Alarms.AddRange(machine.Alarms.Select(a => new AlarmMember { MemberID = a.Member, Alarm = a.Alarm }));
            return response;
        });
    }

    private ValueTask<StatusResponse> StatusAsync(GrpcCall call, StatusRequest request)
    {
        callers.Require(call);
        var status = replica.Status;
        var response = replica.Read(machine =>
        {
            var r = new StatusResponse
            {
                Header = replica.Header(machine.Store.Revision), Version = ApiVersion, StorageVersion = ApiVersion, DbSize = Math.Max(EmptyBytes, machine.Store.Bytes),
                DbSizeInUse = machine.Store.Bytes, DbSizeQuota = replica.Options.QuotaBytes,
                DowngradeInfo = new DowngradeInfo(),
                IsLearner = machine.FindMember(replica.Id)?.IsLearner ?? false,
            };
            r.Errors.AddRange(machine.Alarms.Select(a => $"memberID:{a.Member} alarm:{a.Alarm.ToString().ToUpperInvariant()}"));
            return r;
        });
        response.Leader = status.Leader.Value;
        response.RaftIndex = (ulong)status.Commit;
        response.RaftTerm = (ulong)status.Term;
        response.RaftAppliedIndex = (ulong)replica.AppliedIndex;
        if (status.Leader.IsNone)
            response.Errors.Add(StoreErrors.NoLeader.Message);
        if (replica.Healing is { } damage)
            response.Errors.Add("healing: " + damage);
        return ValueTask.FromResult(response);
    }

    /// <summary>etcd's rules for what may be asked: one minor version back. What it would prepare needs no preparing here.</summary>
    private ValueTask<DowngradeResponse> DowngradeAsync(GrpcCall call, DowngradeRequest request)
    {
        callers.RequireAdmin(call);
        const string cluster = "3.7";
        if (request.Action != DowngradeRequest.Types.DowngradeAction.Cancel)
        {
            var parts = request.Version.Split('.');
            if (parts.Length is < 2 or > 3 || !parts.All(p => p.Length > 0 && p.All(char.IsAsciiDigit)))
                throw StoreErrors.DowngradeFormat;
            if (parts[0] != "3" || parts[1] != "6")
                throw StoreErrors.DowngradeTarget;
            if (request.Action == DowngradeRequest.Types.DowngradeAction.Enable)
                throw StoreErrors.NoDowngrade;
        }
        return ValueTask.FromResult(new DowngradeResponse { Header = replica.Header(replica.Read(static m => m.Store.Revision)), Version = cluster });
    }

    /// <summary>There are no holes in our files to close; a snapshot now is what comes next to it.</summary>
    private ValueTask<DefragmentResponse> DefragmentAsync(GrpcCall call, DefragmentRequest request)
    {
        callers.RequireAdmin(call);
        replica.RequestSnapshot();
        return ValueTask.FromResult(new DefragmentResponse { Header = replica.Header(replica.Read(static m => m.Store.Revision)) });
    }

    private ValueTask<HashResponse> HashAsync(GrpcCall call, HashRequest request)
    {
        callers.RequireAdmin(call);
        var (hash, revision, _) = replica.HashKv(0);
        return ValueTask.FromResult(new HashResponse { Header = replica.Header(revision), Hash = hash });
    }

    private ValueTask<HashKVResponse> HashKvAsync(GrpcCall call, HashKVRequest request)
    {
        callers.RequireAdmin(call);
        var (hash, revision, compacted) = replica.HashKv(request.Revision);
        return ValueTask.FromResult(new HashKVResponse
        {
            Header = replica.Header(revision), Hash = hash, CompactRevision = compacted,
            HashRevision = request.Revision == 0 ? revision : request.Revision,
        });
    }

    private async ValueTask<MoveLeaderResponse> MoveLeaderAsync(GrpcCall call, MoveLeaderRequest request)
    {
        callers.RequireAdmin(call);
        if (replica.Status.Role != Raft.Consensus.Role.Leader)
            throw StoreErrors.NotLeader;
        var target = new MemberId(request.TargetID);
        if (target == replica.Status.Self)
            return new MoveLeaderResponse { Header = replica.Header(0) };
        if (!await replica.WithCoreAsync((core, now) => core.Transfer(now, target)).ConfigureAwait(false))
            throw StoreErrors.BadTransferee;
        var waited = TimeSpan.Zero;
        var step = TimeSpan.FromMilliseconds(10);
        while (replica.Status.Leader != target)
        {
            if (waited > replica.Options.RequestTimeout)
                throw StoreErrors.Timeout;
            await Task.Delay(step, replica.Time, call.Canceled).ConfigureAwait(false);
            waited += step;
        }
        return new MoveLeaderResponse { Header = replica.Header(0) };
    }

    /// <summary>The state as etcd's own database, in pieces, then the SHA-256 of all before.</summary>
    private async Task SnapshotAsync(GrpcCall call)
    {
        if (await call.ReadAsync(SnapshotRequest.Parser).ConfigureAwait(false) is null)
            throw new GrpcException(GrpcCodes.Unknown, "EOF");
        callers.RequireAdmin(call);
        if (Interlocked.Increment(ref _snapshots) > replica.Options.MaxSnapshotsAtOnce)
        {
            Interlocked.Decrement(ref _snapshots);
            throw StoreErrors.TooManyRequests;
        }
        try
        {
            await using var content = replica.ExportSnapshot();
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            var piece = new byte[SnapshotPieceBytes];
            for (var left = content.Length; left > 0;)
            {
                var count = (int)Math.Min(left, SnapshotPieceBytes);
                await content.ReadExactlyAsync(piece.AsMemory(0, count), call.Canceled).ConfigureAwait(false);
                hash.AppendData(piece, 0, count);
                left -= count;
                call.Write(new SnapshotResponse { RemainingBytes = (ulong)left, Blob = UnsafeByteOperations.UnsafeWrap(piece.AsMemory(0, count)), Version = ApiVersion });
                await call.FlushAsync().ConfigureAwait(false);
            }
            call.Write(new SnapshotResponse { Blob = ByteString.CopyFrom(hash.GetHashAndReset()), Version = ApiVersion });
        }
        finally
        {
            Interlocked.Decrement(ref _snapshots);
        }
    }

    private ValueTask<HealthCheckResponse> CheckAsync(GrpcCall call, HealthCheckRequest request) => ValueTask.FromResult(new HealthCheckResponse
    {
        Status = replica.Status.Leader.IsNone || replica.Completion.IsFaulted
            ? HealthCheckResponse.Types.ServingStatus.NotServing
            : HealthCheckResponse.Types.ServingStatus.Serving,
    });

    private ValueTask<ProcessFigures> LookAsync(GrpcCall call, ProcessQuestion question)
    {
        callers.Require(call);
        var figures = new ProcessFigures
        {
            PauseMicros = (long)GC.GetTotalPauseDuration().TotalMicroseconds, ManagedBytes = GC.GetTotalMemory(forceFullCollection: false),
            ResidentBytes = Environment.WorkingSet,
        };
        figures.Pauses.AddRange(CollectorPauses.Snapshot());
        for (var generation = 0; generation <= GC.MaxGeneration; generation++)
            figures.Collections.Add(GC.CollectionCount(generation));
        return ValueTask.FromResult(figures);
    }
}
