using Millrace.Coordination.Store;
using Millrace.Coordination.Wire;
using Millrace.Raft;

namespace Millrace.Coordination.Node;

/// <summary>A member as one of its group sees it.</summary>
/// <param name="Match">How much of the log it surely has; null where only the leader knows and there is none.</param>
/// <param name="IsActive">It answered the leader within the last election timeout; null where unknown.</param>
/// <param name="RoundTripMillis">From the leader; null where unknown.</param>
public sealed record ViewedMember(
    ulong Id, string Name, IReadOnlyList<string> PeerUrls, IReadOnlyList<string> ClientUrls, bool IsLearner, bool IsLeader, bool IsSelf,
    long? Match, bool? IsActive, double? RoundTripMillis, double? DeviationMillis, bool IsReceivingSnapshot);

/// <summary>A group at one moment, as one member sees it.</summary>
/// <param name="ElectionTimeoutMillis">As adapted to the round trips.</param>
/// <param name="Flushes">Of the log since the start of the process.</param>
/// <param name="Healing">What was damaged on this member's disk, while it gets it again from the others.</param>
public sealed record GroupView(
    ulong ClusterId, ulong Self, string Role, long Term, ulong Leader, long Commit, long Applied, long LastIndex, long Durable, long CompactedIndex,
    long Revision, long Keys, long StateBytes, long LogBytes, long Flushes, double ElectionTimeoutMillis, bool IsChangingMembers,
    IReadOnlyList<ViewedMember> Members, IReadOnlyList<Election> Elections, string? Healing)
{
    internal static async Task<GroupView> OfAsync(Replica replica)
    {
        var status = replica.Status;
        LeaderReply? leaders = null;
        try
        {
            leaders = await replica.Calls.AskAsync(new LeaderCall { View = new ViewQuestion() }).ConfigureAwait(false);
        }
        catch (StoreException)
        {
            // No leader, or it is just gone: what this member knows by itself is still worth seeing.
        }
        var progress = leaders?.Progress.ToDictionary(static p => p.Id) ?? [];
        var (members, revision, keys, bytes) = replica.Read(static machine => (
            machine.Members.ToArray(), machine.Store.Revision, machine.Store.KeyCount, machine.Store.Bytes));
        return new GroupView(
            replica.ClusterId, replica.Id, status.Role.ToString().ToLowerInvariant(), status.Term, status.Leader.Value, status.Commit,
            replica.AppliedIndex, status.LastIndex, status.Durable, status.CompactedIndex, revision, keys, bytes, replica.LogBytes,
            replica.LogFlushes, status.ElectionTimeoutMicros / 1000.0, status.Configuration.IsJoint,
            [.. members.Select(m => View(m, status.Leader, replica.Id, progress.GetValueOrDefault(m.ID), leaders))], replica.Elections.Recent, replica.Healing);
    }

    private static ViewedMember View(Member member, MemberId leader, ulong self, MemberProgress? progress, LeaderReply? leaders)
    {
        var isLeader = member.ID == leader.Value;
        var isKnown = progress is { RoundTripMicros: > 0 };
        return new ViewedMember(
            member.ID, member.Name, [.. member.PeerURLs], [.. member.ClientURLs], member.IsLearner, isLeader, member.ID == self,
            isLeader ? leaders?.LastIndex : progress?.Match, isLeader ? true : progress?.IsActive,
            isKnown ? progress!.RoundTripMicros / 1000.0 : null, isKnown ? progress!.DeviationMicros / 1000.0 : null,
            progress?.IsReceivingSnapshot ?? false);
    }
}
