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

/// <summary>What <see cref="TlsFiles"/> hold, read once. Thread-safe.</summary>
public sealed class TlsIdentity
{
    private readonly SslStreamCertificateContext? _certificate;
    private readonly X509Certificate2Collection? _roots;
    private readonly bool _requireClientCertificate;

    private TlsIdentity(SslStreamCertificateContext? certificate, X509Certificate2Collection? roots, bool requireClientCertificate)
    {
        _certificate = certificate;
        _roots = roots;
        _requireClientCertificate = requireClientCertificate;
    }

    /// <param name="files">To be read.</param>
    /// <param name="what">The setting that names them, for errors.</param>
    /// <exception cref="IOException">A file is missing or is no PEM of what it should be; the message says which.</exception>
    public static TlsIdentity Load(TlsFiles files, string what)
    {
        ArgumentNullException.ThrowIfNull(files);
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
            return new TlsIdentity(files.Certificate is null ? null : LoadCertificate(files.Certificate, files.Key ?? files.Certificate), roots, files.RequireClientCertificate);
        }
        catch (CryptographicException error)
        {
            throw new IOException($"{what}: {files.Certificate} and {files.Key} are no certificate with its key in PEM form: {error.Message}", error);
        }
    }

    /// <param name="protocol">To be agreed on by ALPN, if any.</param>
    public SslServerAuthenticationOptions ForServer(SslApplicationProtocol? protocol) => new()
    {
        ServerCertificateContext = _certificate ?? throw new InvalidOperationException("a server needs a certificate"),
        ClientCertificateRequired = _requireClientCertificate,
        CertificateChainPolicy = Policy(),
        EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
        ApplicationProtocols = protocol is { } p ? [p] : null,
    };

    /// <param name="host">The name that the server's certificate must have.</param>
    public SslClientAuthenticationOptions ForClient(string host) => new()
    {
        TargetHost = host,
        ClientCertificateContext = _certificate,
        CertificateChainPolicy = Policy(),
        EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
    };

    private X509ChainPolicy? Policy()
    {
        if (_roots is null)
            return null;
        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        policy.CustomTrustStore.AddRange(_roots);
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
}
