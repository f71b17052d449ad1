using System.Security.Cryptography;

namespace Millrace.Query.Wire;

/// <summary>The secrets by which clients may cancel their statements over another connection. Thread-safe.</summary>
internal sealed class CancelKeys
{
    private readonly Lock _lock = new();
    private readonly Dictionary<int, (int Secret, SqlSession Session)> _keys = [];

    /// <summary>The secret to tell the client.</summary>
    public int Add(SqlSession session)
    {
        var secret = BitConverter.ToInt32(RandomNumberGenerator.GetBytes(4));
        lock (_lock)
            _keys[session.Id] = (secret, session);
        return secret;
    }

    public void Remove(int process)
    {
        lock (_lock)
            _keys.Remove(process);
    }

    /// <summary>A wrong secret does nothing and is not told, as in PostgreSQL.</summary>
    public void Cancel(CancelRequest request)
    {
        SqlSession? session;
        lock (_lock)
            session = _keys.TryGetValue(request.ProcessId, out var key) && key.Secret == request.SecretKey ? key.Session : null;
        session?.Cancel();
    }
}
