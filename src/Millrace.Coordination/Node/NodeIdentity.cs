using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Google.Protobuf;
using Millrace.Coordination.Wire;
using Millrace.Raft;
using Millrace.Raft.Transport;
using Millrace.Storage.Checksums;
using Millrace.Storage.Files;

namespace Millrace.Coordination.Node;

/// <summary>Who this member is, in a file of its own that never changes after the first start.</summary>
internal static class NodeIdentity
{
    private const string FileName = "identity";

    public static string PeerUrlOf(CoordinationMember member, bool isSecure) => $"{(isSecure ? "https" : "http")}://{member.Host}:{member.PeerPort}";

    /// <summary>Reads the identity, or makes one: from the options for a new group, from the running group when joining.</summary>
    /// <exception cref="InvalidOperationException">The options do not fit to a running group, or no member of it answers.</exception>
    public static async Task<Identity> OpenAsync(IFileSystem files, CoordinationOptions options, CancellationToken cancel)
    {
        var path = Path.Combine(options.DataFolder, FileName);
        if (files.FileExists(path))
            return Parse(DurableFile.ReadAll(files, path), path);
        var identity = options.IsJoining ? await JoinAsync(options, cancel).ConfigureAwait(false) : Begin(options);
        Write(files, path, identity);
        return identity;
    }

    /// <summary>Makes this member one of a new group, in a folder that has none yet.</summary>
    public static Identity Found(IFileSystem files, CoordinationOptions options)
    {
        var identity = Begin(options);
        Write(files, Path.Combine(options.DataFolder, FileName), identity);
        return identity;
    }

    /// <summary>A member's id: the same on every member that computes it, and another for each time that a member is added.</summary>
    public static ulong MemberIdOf(string token, string peerUrl, long salt) => Hash($"{token}\n{peerUrl}\n{salt}");

    private static void Write(IFileSystem files, string path, Identity identity)
    {
        var content = identity.ToByteArray();
        var framed = new byte[4 + content.Length];
        BinaryPrimitives.WriteUInt32LittleEndian(framed, Crc32C.Compute(content));
        content.CopyTo(framed, 4);
        DurableFile.Replace(files, path, framed);
    }

    private static Identity Begin(CoordinationOptions options)
    {
        var members = options.Members.Count > 0
            ? options.Members
            : [new CoordinationMember(options.Name, options.Address.ToString(), Math.Max(0, options.PeerPort))];
        var identity = new Identity { Name = options.Name };
        foreach (var member in members.OrderBy(m => m.Name, StringComparer.Ordinal))
        {
            var url = PeerUrlOf(member, options.PeerTls is not null);
            var wire = new Member { ID = MemberIdOf(options.GroupToken, member.Name + url, 0), Name = member.Name };
            wire.PeerURLs.Add(url);
            identity.FirstMembers.Add(wire);
            if (member.Name == options.Name)
                identity.MemberId = wire.ID;
        }
        identity.ClusterId = Hash(options.GroupToken + "\n" + string.Join('\n', identity.FirstMembers.Select(m => m.ID)));
        return identity;
    }

    private static async Task<Identity> JoinAsync(CoordinationOptions options, CancellationToken cancel)
    {
        var self = options.Members.FirstOrDefault(m => m.Name == options.Name);
        var url = self is null ? $"http://{options.Address}:{options.PeerPort}" : PeerUrlOf(self, options.PeerTls is not null);
        var failures = new List<string>();
        var tls = options.PeerTls is null ? null : TlsIdentity.Load(options.PeerTls, "TLS between members");
        foreach (var member in options.Members.Where(m => m.Name != options.Name))
        {
            try
            {
                var answer = JoinAnswer.Parser.ParseFrom(await PeerQuestion.AskAsync(
                    member.Host, member.PeerPort, new JoinQuestion { PeerUrl = url }.ToByteArray(), tls, cancel).ConfigureAwait(false));
                var mine = answer.Members.FirstOrDefault(m => m.PeerURLs.Contains(url));
                if (mine is null)
                {
                    throw new InvalidOperationException(
                        $"the group at {member.Host}:{member.PeerPort} does not know a member at {url}; add it first: "
                        + $"./millrace cluster add {url}");
                }
                var identity = new Identity { ClusterId = answer.ClusterId, MemberId = mine.ID, Name = options.Name, Joined = true };
                identity.FirstMembers.AddRange(answer.Members);
                return identity;
            }
            catch (IOException error)
            {
                failures.Add(error.Message);
            }
        }
        throw new InvalidOperationException("no member of the group answers: " + string.Join("; ", failures));
    }

    private static Identity Parse(byte[] framed, string path)
    {
        if (framed.Length < 4 || BinaryPrimitives.ReadUInt32LittleEndian(framed) != Crc32C.Compute(framed.AsSpan(4)))
            throw new InvalidDataException($"{path} is damaged; the member cannot know who it is");
        return Identity.Parser.ParseFrom(framed, 4, framed.Length - 4);
    }

    private static ulong Hash(string text)
    {
        var hash = SHA256.HashData(Encoding.UTF8.GetBytes(text));
        return BinaryPrimitives.ReadUInt64BigEndian(hash) | 1;
    }
}
