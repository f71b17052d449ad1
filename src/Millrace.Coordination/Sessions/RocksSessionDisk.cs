using System.Buffers.Binary;
using System.Text;
using Millrace.Storage.RocksDb;

namespace Millrace.Coordination.Sessions;

/// <summary>Copies and hints in RocksDB, every write flushed. Thread-safe.</summary>
public sealed class RocksSessionDisk : ISessionDisk, IDisposable
{
    private const byte Copies = (byte)'c';
    private const byte HintsTo = (byte)'h';
    private readonly RocksStore _store;

    public RocksSessionDisk(string folder)
    {
        Directory.CreateDirectory(folder);
        _store = RocksStore.Open(folder, new RocksOptions { WriteBufferBytes = 4 << 20 });
    }

    public SessionVersion? Get(string key) => _store.Get(CopyKey(key)) is { } found ? Read(found) : null;

    public void Put(string key, SessionVersion version) => Write(batch => batch.Put(CopyKey(key), Bytes(version)));

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
            Write(batch => batch.Put(HintKey(member, key), Bytes(version)));
    }

    public void RemoveHint(ulong member, string key, HybridTime upTo)
    {
        if (_store.Get(HintKey(member, key)) is { } held && !(Read(held).Time > upTo))
            Write(batch => batch.Delete(HintKey(member, key)));
    }

    /// <summary>Forgets what has been deleted or expired since before a time, so that no other copy can bring it back by then.</summary>
    /// <returns>Sessions forgotten.</returns>
    public int Purge(long goneBeforeMillis)
    {
        var gone = new List<byte[]>();
        using (var scan = _store.Scan([Copies]))
        {
            while (scan.MoveNext())
            {
                var version = Read(scan.Value.ToArray());
                if (version.Time.Millis < goneBeforeMillis && version.IsGone(goneBeforeMillis))
                    gone.Add(scan.Key.ToArray());
            }
        }
        if (gone.Count > 0)
            Write(batch => gone.ForEach(key => batch.Delete(key)));
        return gone.Count;
    }

    public void Dispose() => _store.Dispose();

    private void Write(Action<RocksWriteBatch> fill)
    {
        using var batch = new RocksWriteBatch();
        fill(batch);
        _store.Write(batch, sync: true);
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
