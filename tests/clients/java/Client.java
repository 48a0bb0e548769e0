// SPDX-License-Identifier: Apache-2.0

import io.kubernetes.client.openapi.ApiException;
import io.kubernetes.client.openapi.apis.AuthenticationV1Api;
import io.kubernetes.client.openapi.models.V1SelfSubjectReview;
import io.kubernetes.client.util.ClientBuilder;

/** Client CALLS: asks the API server who it is, as a Pod does with the Java client, and says what failed. */
public class Client {
    public static void main(String[] arguments) throws Exception {
        var api = new AuthenticationV1Api(ClientBuilder.cluster().build());
        for (int calls = Integer.parseInt(arguments[0]); calls > 0; --calls) {
            try {
                api.createSelfSubjectReview(new V1SelfSubjectReview()).execute();
            } catch (ApiException error) {
                System.out.println("failed: " + error.getCode() + " " + error.getMessage() + " " + error.getResponseBody());
            }
            Thread.sleep(50);
        }
    }
}
