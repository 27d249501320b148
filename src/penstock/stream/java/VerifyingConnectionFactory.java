package penstock.stream;

import com.datastax.oss.driver.api.core.CqlSession;
import com.datastax.oss.driver.api.core.CqlSessionBuilder;
import com.datastax.oss.driver.api.core.auth.AuthProvider;
import com.datastax.oss.driver.api.core.config.DefaultDriverOption;
import com.datastax.oss.driver.api.core.config.DriverConfigLoader;
import com.datastax.oss.driver.api.core.config.DriverExecutionProfile;
import com.datastax.oss.driver.api.core.context.DriverContext;
import com.datastax.oss.driver.api.core.metadata.EndPoint;
import com.datastax.oss.driver.internal.core.ssl.DefaultSslEngineFactory;
import com.datastax.spark.connector.cql.CassandraConnectionFactory;
import com.datastax.spark.connector.cql.CassandraConnectorConf;
import com.datastax.spark.connector.cql.DefaultConnectionFactory;
import com.datastax.spark.connector.cql.DefaultConnectionFactory$;
import com.datastax.spark.connector.cql.IpBasedContactInfo;
import com.datastax.spark.connector.cql.Scanner;
import com.datastax.spark.connector.rdd.ReadConf;
import java.net.InetSocketAddress;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLParameters;
import scala.Option;
import scala.collection.immutable.IndexedSeq;
import scala.collection.immutable.Set;

/** The connector's sessions, whose nodes must have a certificate that names their address: its own never looks. */
public final class VerifyingConnectionFactory implements CassandraConnectionFactory {
    private static final long serialVersionUID = 1;

    @Override
    public CqlSession createSession(CassandraConnectorConf conf) {
        DriverConfigLoader config = DefaultConnectionFactory.connectorConfigBuilder(
                        conf, DriverConfigLoader.programmaticBuilder())
                .withClass(DefaultDriverOption.SSL_ENGINE_FACTORY_CLASS, ByAddress.class)
                .build();
        CqlSessionBuilder builder = CqlSession.builder().withConfigLoader(config);
        Option<AuthProvider> credentials =
                ((IpBasedContactInfo) conf.contactInfo()).authConf().authProvider();
        return (credentials.isDefined() ? builder.withAuthProvider(credentials.get()) : builder).build();
    }

    @Override
    public Set<String> properties() {
        return DefaultConnectionFactory.properties();
    }

    @Override
    public Scanner getScanner(ReadConf read, CassandraConnectorConf conf, IndexedSeq<String> columns) {
        return DefaultConnectionFactory$.MODULE$.getScanner(read, conf, columns);
    }

    /** The driver's own asks a name server what the address is called, and looks for that name. */
    public static final class ByAddress extends DefaultSslEngineFactory {
        private final SSLContext context;
        private final String[] ciphers;

        public ByAddress(DriverContext driver) throws Exception {
            super(driver);
            DriverExecutionProfile profile = driver.getConfig().getDefaultProfile();
            context = buildContext(profile);
            ciphers = profile.getStringList(DefaultDriverOption.SSL_CIPHER_SUITES).toArray(String[]::new);
        }

        @Override
        public SSLEngine newSslEngine(EndPoint remote) {
            InetSocketAddress address = (InetSocketAddress) remote.resolve();
            SSLEngine engine = context.createSSLEngine(address.getHostString(), address.getPort());
            engine.setUseClientMode(true);
            engine.setEnabledCipherSuites(ciphers);
            SSLParameters parameters = engine.getSSLParameters();
            parameters.setEndpointIdentificationAlgorithm("HTTPS");
            engine.setSSLParameters(parameters);
            return engine;
        }
    }
}
