using System.Buffers.Binary;
using System.Text;
using Millrace.Storage.RocksDb;

namespace Millrace.Coordination.Sessions;

/// <summary>Copies and hints in RocksDB; <see cref="Flush"/> makes durable what was written before it, while others write on. Thread-safe but for one writer at a time.</summary>
public sealed class RocksSessionDisk : ISessionDisk, IDisposable
{
    private const byte Copies = (byte)'c';
    private const byte HintsTo = (byte)'h';
    private static readonly byte[] NewestKey = "n"u8.ToArray();
    private readonly RocksStore _store;
    private readonly RocksWriteBatch _batch = new();

    public RocksSessionDisk(string folder)
    {
        Directory.CreateDirectory(folder);
        _store = RocksStore.Open(folder, new RocksOptions { WriteBufferBytes = 16 << 20 });
        Newest = _store.Get(NewestKey) is { } found ? Read(found).Time : default;
    }

    public HybridTime Newest { get; private set; }

    public SessionVersion? Get(string key) => _store.Get(CopyKey(key)) is { } found ? Read(found) : null;

    public void Put(string key, SessionVersion version)
    {
        _batch.Put(CopyKey(key), Bytes(version));
        if (version.Time > Newest)
        {
            Newest = version.Time;
            _batch.Put(NewestKey, Bytes(new SessionVersion(Newest, null, 0)));
        }
        Write();
    }

    public IReadOnlyList<(string Key, SessionVersion Version)> Hints(ulong member, int most)
    {
        var prefix = HintKey(member, "");
        var found = new List<(string, SessionVersion)>();
        using var scan = _store.Scan(prefix);
        while (found.Count < most && scan.MoveNext())
            found.Add((Encoding.UTF8.GetString(scan.Key[prefix.Length..]), Read(scan.Value.ToArray())));
        return found;
    }

    public void PutHint(ulong member, string key, SessionVersion version)
    {
        // The newest is enough.
        if (_store.Get(HintKey(member, key)) is not { } old || version.Time > Read(old).Time)
        {
            _batch.Put(HintKey(member, key), Bytes(version));
            Write();
        }
    }

    public bool RemoveHint(ulong member, string key, HybridTime upTo)
    {
        if (_store.Get(HintKey(member, key)) is not { } held || Read(held).Time > upTo)
            return false;
        _batch.Delete(HintKey(member, key));
        Write();
        return true;
    }

    /// <summary>Hints that wait for a member, counted up to a number.</summary>
    public int CountHints(ulong member, int most)
    {
        var count = 0;
        using var scan = _store.Scan(HintKey(member, ""));
        while (count < most && scan.MoveNext())
            count++;
        return count;
    }

    /// <summary>One fsync for all that was written before.</summary>
    /// <exception cref="RocksException">The disk failed; nothing may be written after.</exception>
    public void Flush() => _store.SyncLog();

    /// <summary>Sessions that were deleted or expired before a time, so long ago that no other copy can bring them back. May run beside a writer.</summary>
    public IReadOnlyList<string> Gone(long goneBeforeMillis, int most)
    {
        var gone = new List<string>();
        using var scan = _store.Scan([Copies]);
        while (gone.Count < most && scan.MoveNext())
        {
            if (IsGone(Read(scan.Value.ToArray()), goneBeforeMillis))
                gone.Add(Encoding.UTF8.GetString(scan.Key[1..]));
        }
        return gone;
    }

    /// <summary>Forgets those of them that nobody has written again meanwhile.</summary>
    public void Forget(IReadOnlyList<string> gone, long goneBeforeMillis)
    {
        foreach (var key in gone)
        {
            if (Get(key) is { } version && IsGone(version, goneBeforeMillis))
                _batch.Delete(CopyKey(key));
        }
        Write();
    }

    public void Dispose()
    {
        _batch.Dispose();
        _store.Dispose();
    }

    private static bool IsGone(SessionVersion version, long beforeMillis) => version.Time.Millis < beforeMillis && version.IsGone(beforeMillis);

    private void Write()
    {
        _store.Write(_batch, sync: false);
        _batch.Clear();
    }

    private static byte[] CopyKey(string key) => [Copies, .. Encoding.UTF8.GetBytes(key)];

    private static byte[] HintKey(ulong member, string key)
    {
        var bytes = new byte[9 + Encoding.UTF8.GetByteCount(key)];
        bytes[0] = HintsTo;
        BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(1), member);
        Encoding.UTF8.GetBytes(key, bytes.AsSpan(9));
        return bytes;
    }

    /// <summary>As in a message, which has all that a version is.</summary>
    private static byte[] Bytes(SessionVersion version) => SessionCodec.Encode(new SessionStore(0, 0, 0, "", version));

    private static SessionVersion Read(byte[] bytes) => ((SessionStore)SessionCodec.Decode(0, 0, bytes)).Version;
}
