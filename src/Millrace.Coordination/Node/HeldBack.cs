using Millrace.Raft;
using Millrace.Raft.Consensus;
using Millrace.Raft.Messages;

namespace Millrace.Coordination.Node;

/// <summary>
/// Holds back what a leader sends to members whose answers no majority waits for, while there is little to send: they get several entries at once a little
/// later, with one flush for all, and meanwhile take no processor and no disk from those that the client waits for. To the core it is a slow network. The
/// choice of a majority to ask is after Moraru, Andersen and Kaminsky, There Is More Consensus in Egalitarian Parliaments, 2013 ("thrifty"); here the others
/// are asked too, and at once when a member of the majority is late.
/// </summary>
/// <param name="core">Asked for role, members and what is committed.</param>
/// <param name="send">Where messages go.</param>
/// <param name="patience">Microseconds at most; zero holds nothing back.</param>
internal sealed class HeldBack(RaftCore core, Action<Message> send, long patience)
{
    /// <summary>More at once comes from many clients, who gain nothing by this.</summary>
    private const int MaxEntries = 4;
    private const int MaxMessages = 64;

    /// <summary>Where nobody answers within the patience, because networks or disks are slower, nothing is held back for so long.</summary>
    private const long PauseMicros = 1_000_000;
    private const int MaxLate = 3;

    private readonly List<AppendRequest> _held = [];
    private readonly List<MemberId> _asked = [];
    private Configuration _configuration = Configuration.Empty;
    private int _rotation;
    private int _late;
    private long _wanted;
    private long _pausedUntil;

    /// <summary>When what is held must leave.</summary>
    public long Deadline { get; private set; } = long.MaxValue;

    public void Send(Message message, long now)
    {
        if (message is AppendRequest append && now >= _pausedUntil && IsHeld(append))
        {
            if (_held.Count == 0)
            {
                Deadline = now + patience;
                _wanted = append.PreviousIndex + append.Entries.Count;
            }
            _held.Add(append);
            if (_held.Count >= MaxMessages)
                Release();
            return;
        }
        if (_held.Count > 0 && _held.Exists(h => h.To == message.To))
            Release();
        send(message);
    }

    /// <summary>A client of this member waits for what it passed on, and for its own copy.</summary>
    public void Prefer(MemberId member)
    {
        if (!IsApplicable(member) || _asked.Contains(member))
            return;
        _asked.RemoveAt(0);
        _asked.Add(member);
        Release();
    }

    /// <summary>Lets go what has waited long enough.</summary>
    public void ReleaseDue(long now)
    {
        if (now < Deadline)
            return;
        if (core.CommitIndex >= _wanted)
        {
            _late = 0;
        }
        else
        {
            // A member that was asked is slow or gone: next time others are.
            _rotation++;
            _configuration = Configuration.Empty;
            if (++_late >= MaxLate)
            {
                _late = 0;
                _pausedUntil = now + PauseMicros;
            }
        }
        Release();
    }

    private void Release()
    {
        foreach (var append in _held)
            send(append);
        _held.Clear();
        Deadline = long.MaxValue;
    }

    private bool IsHeld(AppendRequest append) =>
        append.Entries.Count <= MaxEntries && IsApplicable(append.To) && !_asked.Contains(append.To);

    /// <summary>Whether this member leads others of whom it can choose.</summary>
    private bool IsApplicable(MemberId other)
    {
        var configuration = core.Configuration;
        if (patience == 0 || core.Role != Role.Leader || configuration.IsJoint || configuration.Voters.Length < 3 || !configuration.IsVoter(other)
            || !configuration.IsVoter(core.Self))
        {
            return false;
        }
        if (!ReferenceEquals(configuration, _configuration))
            Choose(configuration);
        return true;
    }

    private void Choose(Configuration configuration)
    {
        _configuration = configuration;
        _asked.Clear();
        var voters = configuration.Voters;
        var self = voters.BinarySearch(core.Self);
        for (var i = 0; i < voters.Length / 2; i++)
            _asked.Add(voters[(self + 1 + ((i + _rotation) % (voters.Length - 1))) % voters.Length]);
    }
}
