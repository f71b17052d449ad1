namespace Millrace.Raft;

/// <summary>What an entry of the log is for.</summary>
public enum EntryKind : byte
{
    /// <summary>The first entry of a new leader; nothing to apply.</summary>
    Noop = 0,

    /// <summary>For the state machine.</summary>
    Command = 1,

    /// <summary>A <see cref="Configuration"/> and what the state machine wants to know of it; see <see cref="ConfigurationEntry"/>.</summary>
    Configuration = 2,
}

/// <summary>One entry of the replicated log. Its data must not change after it was proposed.</summary>
public readonly record struct Entry(long Term, long Index, EntryKind Kind, ReadOnlyMemory<byte> Data)
{
    /// <summary>What bounds count for it: its data and about what it costs on wire and disk besides.</summary>
    public int Bytes => Data.Length + 32;
}

/// <summary>What a member must never forget: the newest term it saw and whom it voted for in it.</summary>
public readonly record struct HardState(long Term, MemberId Vote);

/// <summary>From <paramref name="Index"/> on, until the next run, entries have <paramref name="Term"/>.</summary>
public readonly record struct TermRun(long Index, long Term);
