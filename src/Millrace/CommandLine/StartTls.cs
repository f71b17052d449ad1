using System.CommandLine;
using Millrace.Raft.Transport;

namespace Millrace.Host.CommandLine;

/// <summary>The options of <c>cluster start</c> that etcd has for TLS, by etcd's names.</summary>
internal sealed class StartTls
{
    private readonly Option<string?> _certificate = File("--cert-file", "This member's certificate for clients, who then must speak TLS");
    private readonly Option<string?> _key = File("--key-file", "Its key");
    private readonly Option<string?> _ca = File("--trusted-ca-file", "Roots of clients' certificates");
    private readonly Option<bool> _clientCertAuth = new("--client-cert-auth") { Description = "Clients must have a certificate; its name is their user" };
    private readonly Option<string?> _peerCertificate = File("--peer-cert-file", "This member's certificate for the other members, who then must have one too");
    private readonly Option<string?> _peerKey = File("--peer-key-file", "Its key");
    private readonly Option<string?> _peerCa = File("--peer-trusted-ca-file", "Roots of members' certificates");

    public void AddTo(Command command)
    {
        foreach (var option in new Option[] { _certificate, _key, _ca, _clientCertAuth, _peerCertificate, _peerKey, _peerCa })
            command.Options.Add(option);
    }

    public TlsFiles? OfClients(ParseResult parsed) => parsed.GetValue(_certificate) is not { } certificate ? null : new TlsFiles
    {
        Certificate = certificate, Key = parsed.GetValue(_key), Ca = parsed.GetValue(_ca), RequireClientCertificate = parsed.GetValue(_clientCertAuth),
    };

    public TlsFiles? OfMembers(ParseResult parsed) => parsed.GetValue(_peerCertificate) is not { } certificate ? null : new TlsFiles
    {
        Certificate = certificate, Key = parsed.GetValue(_peerKey), RequireClientCertificate = true,
        Ca = parsed.GetValue(_peerCa) ?? throw new CommandException("members prove themselves to each other, which takes --peer-trusted-ca-file", null, ExitCode.Usage),
    };

    private static Option<string?> File(string name, string description) => new(name) { Description = description, HelpName = "FILE" };
}
