namespace Millrace.Coordination.Client;

/// <summary>The store refused a call or could not be reached.</summary>
/// <param name="code">gRPC's status code: 5 not found, 9 failed precondition, 14 unavailable, ...</param>
/// <param name="text">The server's words; etcd's exact text where it has one.</param>
/// <param name="inner">What happened to the connection, if that was it.</param>
public sealed class CoordinationException(int code, string text, Exception? inner = null) : Exception(text, inner)
{
    public int Code => code;

    /// <summary>The outcome of a write is unknown, or nobody could be asked: the same call may do better later.</summary>
    public bool IsUnavailable => code is 4 or 14;
}
