namespace Millrace.Raft.Consensus;

/// <summary>The algorithm reached a state that it must never reach: a bug, or storage that lost what it had acknowledged. The member must stop.</summary>
public sealed class RaftInvariantException(string message) : Exception(message);
