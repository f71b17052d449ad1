using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Millrace.Raft.Transport;

/// <summary>PEM files of one side of TLS connections.</summary>
public sealed record TlsFiles
{
    /// <summary>This side's certificate, with those between it and its root behind it; null for a client without one.</summary>
    public string? Certificate { get; init; }

    /// <summary>Its key; null when it stands in the certificate's file.</summary>
    public string? Key { get; init; }

    /// <summary>Roots that the other side's certificate must come from; null: those of the system.</summary>
    public string? Ca { get; init; }

    /// <summary>A server asks its clients for certificates, and refuses those without.</summary>
    public bool RequireClientCertificate { get; init; }
}

/// <summary>
/// What <see cref="TlsFiles"/> hold. Files that were replaced hold from the next handshake on; connections that stand go on. Thread-safe.
/// </summary>
public sealed class TlsIdentity
{
    private readonly TlsFiles _files;
    private readonly string _what;
    private readonly Lock _lock = new();
    private Content _content;
    private (DateTime, DateTime, DateTime) _written;

    private TlsIdentity(TlsFiles files, string what)
    {
        _files = files;
        _what = what;
        _written = Written();
        _content = Read(files, what);
    }

    /// <summary>What is wrong with files that were replaced, so that the old ones hold on; null when nothing is.</summary>
    public string? Refused { get; private set; }

    /// <summary>As the files are now.</summary>
    private Content Current
    {
        get
        {
            lock (_lock)
            {
                var written = Written();
                if (written == _written)
                    return _content;
                try
                {
                    _content = Read(_files, _what);
                    _written = written;
                    Refused = null;
                }
                catch (Exception error) when (error is IOException or UnauthorizedAccessException)
                {
                    // Half of the files may be new: the next handshake looks again.
                    Refused = error.Message;
                }
                return _content;
            }
        }
    }

    /// <param name="files">To be read.</param>
    /// <param name="what">The setting that names them, for errors.</param>
    /// <exception cref="IOException">A file is missing or is no PEM of what it should be; the message says which.</exception>
    public static TlsIdentity Load(TlsFiles files, string what)
    {
        ArgumentNullException.ThrowIfNull(files);
        return new TlsIdentity(files, what);
    }

    private static Content Read(TlsFiles files, string what)
    {
        foreach (var file in new[] { files.Certificate, files.Key, files.Ca })
        {
            if (file is not null && !File.Exists(file))
                throw new IOException($"{what}: there is no file '{file}'");
        }
        if (files.RequireClientCertificate && files.Ca is null)
            throw new IOException($"{what}: clients are asked for certificates, but no ca says whose are good");
        try
        {
            X509Certificate2Collection? roots = null;
            if (files.Ca is not null)
            {
                roots = [];
                roots.ImportFromPemFile(files.Ca);
                if (roots.Count == 0)
                    throw new IOException($"{what}: {files.Ca} has no certificate in PEM form");
            }
            return new Content(files.Certificate is null ? null : LoadCertificate(files.Certificate, files.Key ?? files.Certificate), roots);
        }
        catch (CryptographicException error)
        {
            throw new IOException($"{what}: {files.Certificate} and {files.Key} are no certificate with its key in PEM form: {error.Message}", error);
        }
    }

    /// <param name="protocol">To be agreed on by ALPN, if any.</param>
    public SslServerAuthenticationOptions ForServer(SslApplicationProtocol? protocol)
    {
        var (certificate, roots) = Current;
        return new SslServerAuthenticationOptions
        {
            ServerCertificateContext = certificate ?? throw new InvalidOperationException("a server needs a certificate"),
            ClientCertificateRequired = _files.RequireClientCertificate,
            CertificateChainPolicy = Policy(roots),
            EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
            ApplicationProtocols = protocol is { } p ? [p] : null,
        };
    }

    /// <param name="host">The name that the server's certificate must have.</param>
    public SslClientAuthenticationOptions ForClient(string host)
    {
        var (certificate, roots) = Current;
        return new SslClientAuthenticationOptions
        {
            TargetHost = host,
            ClientCertificateContext = certificate,
            CertificateChainPolicy = Policy(roots),
            EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
        };
    }

    private (DateTime, DateTime, DateTime) Written()
    {
        static DateTime Of(string? file) => file is null ? default : File.GetLastWriteTimeUtc(file);
        return (Of(_files.Certificate), Of(_files.Key), Of(_files.Ca));
    }

    private static X509ChainPolicy? Policy(X509Certificate2Collection? roots)
    {
        if (roots is null)
            return null;
        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        policy.CustomTrustStore.AddRange(roots);
        return policy;
    }

    /// <summary>A certificate with its key and whatever chain stands behind it in its file, all in PEM form.</summary>
    /// <exception cref="CryptographicException">The files hold no such thing.</exception>
    public static SslStreamCertificateContext LoadCertificate(string certificate, string key)
    {
        using var pem = X509Certificate2.CreateFromPemFile(certificate, key);
        // Through PKCS#12, since a key from PEM is not one that every platform's TLS can use.
        var leaf = X509CertificateLoader.LoadPkcs12(pem.Export(X509ContentType.Pkcs12), null);
        var chain = new X509Certificate2Collection();
        chain.ImportFromPemFile(certificate);
        if (chain.Count > 0)
            chain.RemoveAt(0);
        return SslStreamCertificateContext.Create(leaf, chain, offline: true);
    }

    private sealed record Content(SslStreamCertificateContext? Certificate, X509Certificate2Collection? Roots);
}
