namespace Millrace.Coordination.Sessions;

/// <summary>Where a member keeps its copies, and the hints for others that it could not reach. What is put is durable when the call returns.</summary>
public interface ISessionDisk
{
    SessionVersion? Get(string key);

    void Put(string key, SessionVersion version);

    /// <summary>What a member has missed.</summary>
    IReadOnlyList<(string Key, SessionVersion Version)> Hints(ulong member, int most);

    void PutHint(ulong member, string key, SessionVersion version);

    /// <summary>The member has that write now; a newer hint stays.</summary>
    void RemoveHint(ulong member, string key, HybridTime upTo);
}
