namespace Millrace.Raft.Consensus;

/// <summary>
/// How a group comes by a leader that knows all that was chosen; all else is the same (Howard, Mortier: Paxos vs Raft: Have we reached
/// consensus on distributed consensus?, 2020).
/// </summary>
public enum ConsensusAlgorithm
{
    /// <summary>Only a member whose log is as good as a majority's can win; entries keep their term.</summary>
    Raft,

    /// <summary>
    /// Any member can win: those who promise tell what they have accepted, and the winner proposes the newest of it again, slot by slot,
    /// in its own term (Lamport: Paxos Made Simple, 2001).
    /// </summary>
    MultiPaxos,

    /// <summary>
    /// Multi-Paxos whose members may propose to all voters at once while their leader lets them: chosen after one round trip when three
    /// quarters vote alike (Lamport: Fast Paxos, 2005). Collisions, and everything under load, go the classic way.
    /// </summary>
    FastPaxos,
}

/// <summary>The bounds of a group. All members should run with the same.</summary>
public sealed record RaftOptions
{
    /// <summary>The same on all members, from the group's first day. Default Raft.</summary>
    public ConsensusAlgorithm Algorithm { get; init; }

    /// <summary>Bytes of accepted entries in one promise; a candidate that lacks more must learn before it can lead. Default 32 MiB.</summary>
    public long MaxPromiseBytes { get; init; } = 32 << 20;

    /// <summary>Fast Paxos: commands of one member that are voted on at once; more make the group go the classic way. Default 64.</summary>
    public int MaxFastValues { get; init; } = 64;

    /// <summary>Fast Paxos: slots past the end of its log that a member votes for. Default 4,096.</summary>
    public int MaxFastAhead { get; init; } = 4096;

    /// <summary>Fast Paxos: collisions, each weighed less by a tenth for every slot after it, past which the leader orders all for a while. Default 3.</summary>
    public double MaxFastCollisions { get; init; } = 3;

    /// <summary>Fast Paxos: how long the leader orders all before members may vote again. Default 1 s.</summary>
    public TimeSpan FastPause { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Fast Paxos: how long a slot may be undecided before the leader settles it, besides four round trips. Default 50 ms.</summary>
    public TimeSpan FastPatience { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <summary>
    /// The shortest time without a leader's word after which a follower campaigns; it waits up to twice as long, by lot. Default 200 ms.
    /// </summary>
    public TimeSpan ElectionTimeoutMin { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>What that time may grow to on slow or unsteady networks. Default 3 s.</summary>
    public TimeSpan ElectionTimeoutMax { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>The election timeout is this many mean round trips, and <see cref="DeviationsPerElectionTimeout"/> on top. Default 10.</summary>
    public int RoundTripsPerElectionTimeout { get; init; } = 10;

    /// <summary>Deviations of round trips in an election timeout. Default 8.</summary>
    public int DeviationsPerElectionTimeout { get; init; } = 8;

    /// <summary>Heartbeats in an election timeout. Default 6.</summary>
    public int HeartbeatsPerElectionTimeout { get; init; } = 6;

    /// <summary>The longest time between heartbeats. Default 100 ms.</summary>
    public TimeSpan HeartbeatMax { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>
    /// The leader answers reads without asking a majority while a majority's promises last. Off by default: it needs
    /// <see cref="ClockDriftBound"/> to be true.
    /// </summary>
    public bool LeaseReads { get; init; }

    /// <summary>Every member's clock runs at a rate within 1 - d and 1 + d of the true one. Default 0.02.</summary>
    public double ClockDriftBound { get; init; } = 0.02;

    /// <summary>Bytes of entries in one message. Default 1 MiB.</summary>
    public int MaxAppendBytes { get; init; } = 1 << 20;

    /// <summary>Messages with entries on the way to one follower. Default 64.</summary>
    public int MaxAppendsInFlight { get; init; } = 64;

    /// <summary>
    /// The round trip up to which only one message with entries at a time is on the way to a follower: on a network this short what comes meanwhile
    /// is soon sent together, and one message, flush and answer for many writes is what saves time. Default 0.5 ms.
    /// </summary>
    public TimeSpan ShortRoundTrip { get; init; } = TimeSpan.FromMicroseconds(500);

    /// <summary>Bytes of entries on the way to one follower. Default 16 MiB.</summary>
    public long MaxBytesInFlight { get; init; } = 16 << 20;

    /// <summary>Bytes of entries that a leader has taken and not committed; proposals past it are refused. Default 256 MiB.</summary>
    public long MaxUncommittedBytes { get; init; } = 256 << 20;

    /// <summary>
    /// Bytes of durable entries kept in memory for followers; one that is further behind is read for from the disk. Default 4 MiB: what is kept
    /// longer than the garbage collector's young generation lasts costs more than it saves.
    /// </summary>
    public long CachedLogBytes { get; init; } = 4 << 20;

    /// <summary>Bytes of committed entries handed out to be applied at once. Default 4 MiB.</summary>
    public int MaxApplyBytes { get; init; } = 4 << 20;

    /// <summary>Bytes of one piece of a snapshot. Default 64 KiB, below what .NET takes for a large object.</summary>
    public int SnapshotChunkBytes { get; init; } = 64 << 10;

    /// <summary>Pieces of a snapshot on the way to one follower. Default 32.</summary>
    public int SnapshotChunksInFlight { get; init; } = 32;

    /// <summary>
    /// Bytes of a snapshot sent to one follower in a second, and of the entries that a learner lacks, so that it hurts clients little. Default 32 MiB.
    /// </summary>
    public long SnapshotBytesPerSecond { get; init; } = 32 << 20;

    /// <summary>
    /// How long followers may be left without word of a commit that none of them waits for: the next entries or heartbeat carry it for
    /// free, while a message of its own would double the messages of a write. Default 2 ms.
    /// </summary>
    public TimeSpan CommitNoticeDelay { get; init; } = TimeSpan.FromMilliseconds(2);

    /// <summary>Slots are accepted one by one, as in Paxos, and proposed again by a new leader.</summary>
    public bool IsBySlot => Algorithm != ConsensusAlgorithm.Raft;

    internal long ElectionMinMicros => (long)ElectionTimeoutMin.TotalMicroseconds;

    internal long CommitNoticeMicros => (long)CommitNoticeDelay.TotalMicroseconds;

    // Fast Paxos sends ahead as it always did: see "Not there yet" in docs/design/consensus.md.
    internal long ShortRoundTripMicros => (long)ShortRoundTrip.TotalMicroseconds;

    internal long ElectionMaxMicros => (long)ElectionTimeoutMax.TotalMicroseconds;

    /// <exception cref="ArgumentException">An option is out of its range; the message names it.</exception>
    public void Validate()
    {
        Require(ElectionTimeoutMin >= TimeSpan.FromMilliseconds(1), nameof(ElectionTimeoutMin), "be at least 1 ms");
        Require(ElectionTimeoutMax >= ElectionTimeoutMin, nameof(ElectionTimeoutMax), "not be below ElectionTimeoutMin");
        Require(RoundTripsPerElectionTimeout >= 2, nameof(RoundTripsPerElectionTimeout), "be at least 2");
        Require(DeviationsPerElectionTimeout >= 0, nameof(DeviationsPerElectionTimeout), "not be negative");
        Require(HeartbeatMax >= TimeSpan.FromMilliseconds(1), nameof(HeartbeatMax), "be at least 1 ms");
        Require(HeartbeatsPerElectionTimeout >= 2, nameof(HeartbeatsPerElectionTimeout), "be at least 2");
        Require(ClockDriftBound is >= 0 and < 0.5, nameof(ClockDriftBound), "be from 0 to 0.5");
        Require(!LeaseReads || Algorithm != ConsensusAlgorithm.FastPaxos, nameof(LeaseReads), "be off with Fast Paxos, whose members commit without their leader");
        Require(MaxFastValues > 0, nameof(MaxFastValues), "be positive");
        Require(MaxFastAhead >= MaxFastValues, nameof(MaxFastAhead), "not be below MaxFastValues");
        Require(FastPause > TimeSpan.Zero, nameof(FastPause), "be positive");
        Require(FastPatience > TimeSpan.Zero, nameof(FastPatience), "be positive");
        Require(MaxAppendBytes > 0, nameof(MaxAppendBytes), "be positive");
        Require(MaxAppendsInFlight > 0, nameof(MaxAppendsInFlight), "be positive");
        Require(ShortRoundTrip >= TimeSpan.Zero, nameof(ShortRoundTrip), "not be negative");
        Require(MaxBytesInFlight >= MaxAppendBytes, nameof(MaxBytesInFlight), "not be below MaxAppendBytes");
        Require(MaxUncommittedBytes > 0, nameof(MaxUncommittedBytes), "be positive");
        Require(CachedLogBytes >= 0, nameof(CachedLogBytes), "not be negative");
        Require(MaxApplyBytes > 0, nameof(MaxApplyBytes), "be positive");
        Require(SnapshotChunkBytes > 0, nameof(SnapshotChunkBytes), "be positive");
        Require(SnapshotChunksInFlight > 0, nameof(SnapshotChunksInFlight), "be positive");
        Require(SnapshotBytesPerSecond is > 0 and <= 1L << 40, nameof(SnapshotBytesPerSecond), "be from 1 to 2^40");
    }

    private static void Require(bool holds, string option, string must)
    {
        if (!holds)
            throw new ArgumentException($"{option} must {must}", option);
    }
}
