using System.Net;
using Millrace.Raft.Consensus;
using Millrace.Raft.Log;
using Millrace.Raft.Transport;

namespace Millrace.Coordination.Node;

/// <summary>A member as the configuration names it.</summary>
/// <param name="Name">For people.</param>
/// <param name="Host">Where the others reach it.</param>
/// <param name="PeerPort">Where it listens for the others.</param>
public sealed record CoordinationMember(string Name, string Host, int PeerPort);

/// <summary>How a member makes sure that a linearizable read sees all that was acknowledged before it.</summary>
public enum ReadMode
{
    /// <summary>The leader asks a majority whether it still leads, once for all reads that wait. Needs no belief about clocks.</summary>
    Index,

    /// <summary>The leader answers by itself while a majority's promises to it last. Needs clocks that drift by less than the bound.</summary>
    Lease,

    /// <summary>Any member asks a majority how far their logs are and waits until it has applied that; the leader is not asked.</summary>
    Quorum,
}

/// <summary>How a member of the coordination store runs. The defaults are a group of one for this machine.</summary>
public sealed record CoordinationOptions
{
    /// <summary>Of this member alone; created when absent.</summary>
    public required string DataFolder { get; init; }

    /// <summary>This member's name, which must be among <see cref="Members"/> when there are any.</summary>
    public string Name { get; init; } = "default";

    /// <summary>The first members of a new group; empty for a group of one. Only read when the data folder is new.</summary>
    public IReadOnlyList<CoordinationMember> Members { get; init; } = [];

    /// <summary>This member was added to a running group, which is found at <see cref="Members"/>; it must not begin one.</summary>
    public bool IsJoining { get; init; }

    /// <summary>Groups with other words here never mix.</summary>
    public string GroupToken { get; init; } = "millrace";

    /// <summary>The address to listen on, for clients and members. Default 127.0.0.1.</summary>
    public IPAddress Address { get; init; } = IPAddress.Loopback;

    /// <summary>For clients, HTTP/2 without TLS; 0 for any free one. Default 2379.</summary>
    public int ClientPort { get; init; } = 2379;

    /// <summary>For the other members; 0 for any free one, -1 for none. Default 2380.</summary>
    public int PeerPort { get; init; } = 2380;

    /// <summary>Clients must speak TLS; null: in the clear. With <see cref="TlsFiles.RequireClientCertificate"/> the name in a client's certificate is its user.</summary>
    public TlsFiles? ClientTls { get; init; }

    /// <summary>Members speak TLS with each other, and each proves itself by its certificate; null: in the clear. The same on all members.</summary>
    public TlsFiles? PeerTls { get; init; }

    /// <summary>Where clients are told to find this member; null: http:// or https://, the address and port.</summary>
    public string? AdvertisedClientUrl { get; init; }

    /// <summary>How linearizable reads are answered; the same on all members. Default: by read index.</summary>
    public ReadMode Reads { get; init; } = ReadMode.Index;

    /// <summary>The algorithm that agrees on the log; the same on all members, from the group's first day. Default: Raft.</summary>
    public ConsensusAlgorithm Consensus { get; init; }

    /// <summary>
    /// Members run puts, deletions and transactions as soon as what others wait for has left, beside its way to them and back, and let them be seen once they
    /// are committed. Pays for large transactions; small ones cost a little more. Raft only. Default: off.
    /// </summary>
    public bool Speculates { get; init; }

    /// <summary>Copies of a session, and how many of them writes and reads wait for; the same on all members. Default 3, 2, 2.</summary>
    public Sessions.SessionQuorum Sessions { get; init; } = new();

    /// <summary>How long a read or write of a session waits for its copies. Default 2 s.</summary>
    public TimeSpan SessionTimeout { get; init; } = TimeSpan.FromSeconds(2);

    public RaftOptions Raft { get; init; } = new();

    public RaftLogOptions Log { get; init; } = new();

    /// <summary>
    /// While the log's flushes take less than this on average, whoever brings a request flushes for it; past it a thread does, and the
    /// member goes on meanwhile. Zero: always the thread. Default 2 ms.
    /// </summary>
    public TimeSpan QuickFlush { get; init; } = TimeSpan.FromMilliseconds(2);

    /// <summary>
    /// How long a leader with little to do holds back what members get whom no majority waits for; zero: not at all. Their copies are so much later. Default 2 ms.
    /// </summary>
    public TimeSpan HoldBack { get; init; } = TimeSpan.FromMilliseconds(2);

    /// <summary>Entries applied between snapshots; of a state over 64 MiB also a quarter of its size, unless <see cref="SnapshotEveryBytes"/> is set. Default 100,000.</summary>
    public long SnapshotEvery { get; init; } = 100_000;

    /// <summary>Bytes of commands applied between snapshots. Default 16 MiB with multi-paxos and fast-paxos, whose candidates are told so much; else 256 MiB, or half the last snapshot.</summary>
    public long? SnapshotEveryBytes { get; init; }

    /// <summary>Entries kept in the log behind a snapshot, for members that lag. Default 5,000.</summary>
    public long KeepBehindSnapshot { get; init; } = 5_000;

    /// <summary>Bytes of them, about, or a quarter of the snapshot if that is more: who lacks more gets the snapshot, which costs the others less. Default 32 MiB.</summary>
    public long KeepBytesBehindSnapshot { get; init; } = 32 << 20;

    /// <summary>Largest request. Default 1.5 MiB, as etcd.</summary>
    public int MaxRequestBytes { get; init; } = 3 << 19;

    /// <summary>Operations in each list of a transaction. Default 128, as etcd.</summary>
    public int MaxTxnOps { get; init; } = 128;

    /// <summary>Bytes of the store past which only reads and deletions go on. Default 2 GiB, as etcd.</summary>
    public long QuotaBytes { get; init; } = 2L << 30;

    /// <summary>Members at once that learn before they vote. Default 1, as etcd.</summary>
    public int MaxLearners { get; init; } = 1;

    /// <summary>Requests that wait at once; more are refused. Default 20,000.</summary>
    public int MaxPendingRequests { get; init; } = 20_000;

    /// <summary>How long a request waits for the group. Default 7 s, as etcd.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(7);

    /// <summary>After so long without a leader a member asks the others whether it was removed, again and again. Default 3 s.</summary>
    public TimeSpan AskIfRemovedAfter { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>Shortest lease. Default 2 s, as etcd with its defaults.</summary>
    public TimeSpan MinLeaseTtl { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Silence after which a watch that asked for it hears of progress. Default 10 min, as etcd.</summary>
    public TimeSpan WatchProgressEvery { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Changes waiting for one stream of watches; past it a watch is read from the store later. Default 16,384.</summary>
    public int MaxBufferedWatchEvents { get; init; } = 16_384;

    /// <summary>Work of hashing a password, as a power of two. Default 10, as etcd.</summary>
    public int BcryptCost { get; init; } = 10;

    /// <summary>Snapshots that clients fetch at once; more are refused. Each is a file in the data folder for that time. Default 2.</summary>
    public int MaxSnapshotsAtOnce { get; init; } = 2;

    /// <summary>How long a token of a user is good. Default 5 min, as etcd's simple tokens.</summary>
    public TimeSpan TokenLifetime { get; init; } = TimeSpan.FromMinutes(5);

    /// <exception cref="ArgumentException">An option is out of its range; the message names it.</exception>
    public void Validate()
    {
        Raft.Validate();
        Sessions.Validate();
        Log.Validate();
        ArgumentException.ThrowIfNullOrEmpty(DataFolder);
        ArgumentException.ThrowIfNullOrEmpty(Name);
        if (Speculates && Consensus != ConsensusAlgorithm.Raft)
            throw new ArgumentException($"{nameof(Speculates)} needs raft: what the Paxos family has accepted may yet be replaced slot by slot", nameof(Speculates));
        if (Consensus == ConsensusAlgorithm.FastPaxos && Reads == ReadMode.Lease)
            throw new ArgumentException("fast-paxos cannot read by lease, since its members commit without their leader; take index or quorum", nameof(Reads));
        if (SnapshotEvery < 1)
            throw new ArgumentException($"{nameof(SnapshotEvery)} must be positive", nameof(SnapshotEvery));
        if (BcryptCost is < Etcd.Bcrypt.MinCost or > Etcd.Bcrypt.MaxCost)
            throw new ArgumentException($"{nameof(BcryptCost)} must be {Etcd.Bcrypt.MinCost} to {Etcd.Bcrypt.MaxCost}", nameof(BcryptCost));
        if (MaxSnapshotsAtOnce < 1)
            throw new ArgumentException($"{nameof(MaxSnapshotsAtOnce)} must be positive", nameof(MaxSnapshotsAtOnce));
        if (KeepBehindSnapshot < 0)
            throw new ArgumentException($"{nameof(KeepBehindSnapshot)} must not be negative", nameof(KeepBehindSnapshot));
        if (KeepBytesBehindSnapshot < 0)
            throw new ArgumentException($"{nameof(KeepBytesBehindSnapshot)} must not be negative", nameof(KeepBytesBehindSnapshot));
        if (Members.Count > 0 && !IsJoining && !Members.Any(m => m.Name == Name))
            throw new ArgumentException($"the members {string.Join(", ", Members.Select(m => m.Name))} do not include {Name}", nameof(Members));
        if (Members.Select(m => m.Name).Distinct().Count() != Members.Count)
            throw new ArgumentException("two members have the same name", nameof(Members));
        if (MaxRequestBytes > Log.MaxEntryBytes)
            throw new ArgumentException($"{nameof(MaxRequestBytes)} is more than the log's MaxEntryBytes", nameof(MaxRequestBytes));
    }
}
