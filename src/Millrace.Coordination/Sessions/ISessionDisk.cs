namespace Millrace.Coordination.Sessions;

/// <summary>
/// Where a member keeps its copies, and the hints for others that it could not reach. What is put can be read at once, and is durable when the core's next
/// <see cref="SessionCore.BeginFlush"/> has been followed by a flush of the disk: many writes, one fsync.
/// </summary>
public interface ISessionDisk
{
    /// <summary>The greatest time of anything that was ever put, so that a member's clock never goes back over a restart.</summary>
    HybridTime Newest { get; }

    SessionVersion? Get(string key);

    void Put(string key, SessionVersion version);

    /// <summary>What a member has missed.</summary>
    IReadOnlyList<(string Key, SessionVersion Version)> Hints(ulong member, int most);

    void PutHint(ulong member, string key, SessionVersion version);

    /// <summary>The member has that write now; a newer hint stays. False when there was none to remove.</summary>
    bool RemoveHint(ulong member, string key, HybridTime upTo);
}
