using System.ComponentModel;

namespace Millrace.WebConsole.Wire;

/// <param name="Role">of this process's member: leader, follower, candidate, precandidate</param>
public sealed record ClusterInfo(
    [property: Description("in hex, as etcd's tools print it")] string Id,
    [property: Description("of this process's member")] string Self, string Role, long Term,
    [property: Description("absent while there is none")] string? Leader, long Commit, long Applied, long LastIndex, long Durable,
    [property: Description("entries up to here are only in snapshots")] long CompactedIndex,
    long Revision, long Keys, long StateBytes, long LogBytes,
    [property: Description("of the log since the process started")] long Flushes,
    [property: Description("as adapted to the round trips")] double ElectionTimeoutMillis,
    bool ChangingMembers, IReadOnlyList<ClusterMember> Members,
    [property: Description("the last leaders that this member knew, newest first")] IReadOnlyList<ClusterElection> Elections,
    [property: Description("what was damaged on this member's disk, while it gets it again from the others; null otherwise")] string? Healing = null);

public sealed record ClusterMember(
    string Id, string Name, bool Leader, bool Self, bool Learner, IReadOnlyList<string> PeerUrls, IReadOnlyList<string> ClientUrls,
    [property: Description("it surely has this much of the log; absent while no leader tells")] long? Match,
    [property: Description("it answered the leader within the election timeout")] bool? Active,
    [property: Description("from the leader, mean")] double? RoundTripMillis, double? DeviationMillis, bool ReceivingSnapshot);

public sealed record ClusterElection(
    DateTimeOffset At, long Term, string Leader, [property: Description("time without a known leader before")] double LeaderlessMillis);
