using System.Collections.Concurrent;
using Google.Protobuf;
using Millrace.Coordination.Store;
using Millrace.Coordination.Wire;
using Millrace.Raft;
using Millrace.Raft.Consensus;

namespace Millrace.Coordination.Node;

/// <summary>Questions that only the leader can answer, asked of it by whichever member the client is at: lease time, changes of members.</summary>
internal sealed class LeaderCalls(Replica replica, TimeProvider time, TimeSpan timeout)
{
    private readonly ConcurrentDictionary<ulong, TaskCompletionSource<LeaderReply>> _open = new();

    /// <exception cref="StoreException">There is no leader, it did not answer, or it answered with this error.</exception>
    public async Task<LeaderReply> AskAsync(LeaderCall call)
    {
        call.CallId = replica.NextRequestId();
        var status = replica.Status;
        LeaderReply reply;
        if (status.Role == Role.Leader)
        {
            reply = await AnswerAsync(call).ConfigureAwait(false);
        }
        else
        {
            if (status.Leader.IsNone)
                throw StoreErrors.NoLeader;
            var done = new TaskCompletionSource<LeaderReply>(TaskCreationOptions.RunContinuationsAsynchronously);
            _open[call.CallId] = done;
            try
            {
                if (!replica.SendAside(status.Leader, NodeChannels.LeaderCall, call.ToByteArray()))
                    throw StoreErrors.NoLeader;
                reply = await done.Task.WaitAsync(timeout, time).ConfigureAwait(false);
            }
            catch (TimeoutException)
            {
                throw StoreErrors.Timeout;
            }
            finally
            {
                _open.TryRemove(call.CallId, out _);
            }
        }
        return reply.ErrorCode == 0 ? reply : throw new StoreException(reply.ErrorCode, reply.Error);
    }

    /// <summary>Another member asks.</summary>
    public void Answer(MemberId from, LeaderCall call) => _ = AnswerAndSendAsync(from, call);

    public void Complete(LeaderReply reply)
    {
        if (_open.TryRemove(reply.CallId, out var done))
            done.TrySetResult(reply);
    }

    private async Task AnswerAndSendAsync(MemberId from, LeaderCall call)
    {
        var reply = await AnswerAsync(call).ConfigureAwait(false);
        replica.SendAside(from, NodeChannels.LeaderReply, reply.ToByteArray());
    }

    private async Task<LeaderReply> AnswerAsync(LeaderCall call)
    {
        var reply = new LeaderReply { CallId = call.CallId };
        try
        {
            switch (call.CallCase)
            {
                case LeaderCall.CallOneofCase.KeepAlive:
                    KeepAlive(call.KeepAlive.ID, reply);
                    break;
                case LeaderCall.CallOneofCase.TimeToLive:
                    TimeToLive(call.TimeToLive.ID, reply);
                    break;
                case LeaderCall.CallOneofCase.Change:
                    await ChangeMembersAsync(call.Change).ConfigureAwait(false);
                    break;
                case LeaderCall.CallOneofCase.View:
                    View(reply);
                    break;
            }
        }
        catch (StoreException error)
        {
            reply.ErrorCode = error.Code;
            reply.Error = error.Message;
        }
        return reply;
    }

    private void KeepAlive(long id, LeaderReply reply)
    {
        RequireLeader();
        reply.Id = id;
        if (replica.Read(machine => machine.Store.Leases.Find(id)?.TtlSeconds) is { } ttl && replica.Leases.Renew(id, ttl))
            reply.Ttl = ttl;
    }

    private void TimeToLive(long id, LeaderReply reply)
    {
        RequireLeader();
        reply.Id = id;
        reply.Ttl = -1;
        if (replica.Read(machine => machine.Store.Leases.Find(id)?.TtlSeconds) is not { } granted)
            return;
        reply.GrantedTtl = granted;
        reply.Ttl = replica.Leases.SecondsLeft(id) ?? granted;
    }

    private void View(LeaderReply reply)
    {
        RequireLeader();
        var status = replica.Status;
        reply.LastIndex = status.LastIndex;
        foreach (var member in status.Members)
        {
            reply.Progress.Add(new MemberProgress
            {
                Id = member.Id.Value, Match = member.Match, IsActive = member.IsActive, RoundTripMicros = member.RoundTripMicros,
                DeviationMicros = member.DeviationMicros, IsReceivingSnapshot = member.IsReceivingSnapshot,
            });
        }
    }

    private async Task ChangeMembersAsync(MemberChange change)
    {
        RequireLeader();
        if (replica.Options.Consensus == ConsensusAlgorithm.FastPaxos)
            throw StoreErrors.FixedMembers;
        var proposal = await replica.WithCoreAsync((core, now) =>
        {
            var next = Next(core.Configuration, change, core.Status(now));
            return core.ProposeConfiguration(now, next, change.ToByteArray());
        }).ConfigureAwait(false);
        switch (proposal.Outcome)
        {
            case ProposalOutcome.Accepted:
                return;
            case ProposalOutcome.NotLeader:
                throw StoreErrors.NotLeader;
            default:
                // etcd has one change at a time too, and lets the client try again.
                throw StoreErrors.Unhealthy;
        }
    }

    private static Configuration Next(Configuration current, MemberChange change, RaftStatus status)
    {
        var id = new MemberId(change.Member.ID);
        var voters = current.Voters.ToArray().ToList();
        var learners = current.Learners.ToArray().ToList();
        switch (change.Kind)
        {
            case MemberChange.Types.Kind.Add when change.Member.IsLearner:
                learners.Add(id);
                break;
            case MemberChange.Types.Kind.Add:
                voters.Add(id);
                break;
            case MemberChange.Types.Kind.Promote:
                // As etcd: a learner that has nine tenths of the log can keep up as a voter.
                var progress = status.Members.FirstOrDefault(m => m.Id == id);
                if (progress is null || !progress.IsActive || progress.Match < status.Commit * 0.9)
                    throw StoreErrors.LearnerNotReady;
                learners.Remove(id);
                voters.Add(id);
                break;
            case MemberChange.Types.Kind.Remove:
                voters.Remove(id);
                learners.Remove(id);
                if (voters.Count == 0)
                    throw StoreErrors.NotEnoughStarted;
                break;
        }
        return Configuration.Of(voters, learners);
    }

    private void RequireLeader()
    {
        if (replica.Status.Role != Role.Leader)
            throw StoreErrors.NotLeader;
    }
}
